"""Tasks: begun in order, one at a time per object, ended once, never lost."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.clock import SystemClock
from core.coordination import tasks
from core.coordination.tasks import Claimed, Order, enqueue
from core.database import Database
from core.errors import DatabaseUnavailable, DosvmError, HypervisorUnavailable, QuotaExceeded, Refused
from core.model import Host, Task
from core.rules.parameters import Parameters
from hostd import intervals
from hostd.bus import Bus
from hostd.executor import Executor
from hostd.handling import Context, Effect, Handler, Obsolete
from hostd.runtime import Runtime
from hostd.targets import Targets
from tests.waiting import until


class Bench:
    """An executor on a database, with handlers that a test gives."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.handlers: dict[str, Handler] = {}
        self.targets = Targets()
        self.bus = Bus()
        self.runtime = Runtime()
        self.ended: list[str] = []
        self.libvirt_back = False

        def make(session: Session) -> int:
            host = Host(name="h", uuid="h" * 36, heartbeat=0)
            session.add(host)
            session.flush()
            return host.id

        self.host_id = database.write(make)
        self.executor = self.make("boot-1")

    def make(self, boot: str) -> Executor:
        return Executor(
            self.database,
            SystemClock(),
            boot,
            lambda: self.host_id,
            self.handlers,
            self.targets,
            self.bus,
            self.runtime,
            threads=4,
            libvirt_back=lambda _seconds: self.libvirt_back,
            ended=self.ended.append,
        )

    def handle(
        self, kind: str, run: Callable[[Claimed, Context], Effect | None], failed: Callable[..., Effect] | None = None
    ) -> None:
        self.handlers[kind] = Handler(run, frozenset({"x"}), failed)

    def put(self, kind: str, target: str = "t1", **payload: object) -> str:
        """Enter a task, and tell nobody."""
        return self.put_all([Order(kind, target, target, None, self.host_id, payload)])[0].uuid

    def put_all(self, orders: Sequence[Order]) -> list[Claimed]:
        return self.database.write(lambda session: enqueue(session, orders, account="a", origin="o"))

    def enter(self, kind: str, target: str = "t1", **payload: object) -> str:
        """Enter a task, and ring as who entered it does."""
        entered = self.put_all([Order(kind, target, target, None, self.host_id, payload)])
        self.executor.ring(entered)
        return entered[0].uuid

    def enter_begun(self, kind: str, target: str = "t1") -> Claimed | None:
        """Enter a task as begun, as an operation does at the host that is to do it; it was promised."""
        order = Order(kind, target, target, None, self.host_id, {})
        claim = self.executor.promise(self.host_id, target)
        assert claim == "boot-1"
        now = self.executor._clock.now()
        return self.database.write(lambda s: tasks.enter_begun(s, order, claim, account="a", origin="o", now=now))

    def ready(self) -> None:
        """Start, and wait until the tasks of earlier runs were looked for."""
        self.executor.start()
        self.executor.ring()
        until(lambda: self.executor._resumed)

    def task(self, uuid: str) -> Task:
        found = self.database.read(lambda session: session.scalar(select(Task).where(Task.uuid == uuid)))
        assert found is not None
        return found

    def wait(self, uuid: str, *states: str, seconds: float = 5.0) -> Task:
        """Wait until a task is in one of the states; when none is given, until it has ended."""
        wanted = states or ("done", "failed", "cancelled")
        until(lambda: self.task(uuid).state in wanted, seconds, lambda: f"still {self.task(uuid).state}")
        return self.task(uuid)

    @contextmanager
    def storage_hangs(
        self, monkeypatch: pytest.MonkeyPatch, disks: int, *, seconds: float = 0.1, long: bool = False
    ) -> Iterator[list[str]]:
        """While the body runs, a task hangs on each of so many disks; those that do not answer for
        ``seconds`` are set aside. Tasks of kind ``k`` do nothing. When storage answers again, all of them end."""
        monkeypatch.setattr(intervals, "STORAGE_ASIDE", seconds)
        answered = threading.Event()
        self.handlers["hangs"] = Handler(
            lambda task, context: answered.wait(60) and None, frozenset(), storage=True, long=long
        )
        self.handle("k", lambda task, context: None)
        self.ready()
        hanging = [self.put("hangs", f"disk-{number}") for number in range(disks)]
        self.executor.ring()
        try:
            yield hanging
        finally:
            answered.set()
        assert {self.wait(task, seconds=30).state for task in hanging} == {"done"}


@pytest.fixture
def bench(database: Database) -> Iterator[Bench]:
    """Not started yet."""
    bench = Bench(database)
    yield bench
    bench.executor.close(1.0)


def test_a_task_is_done_and_its_effect_written_with_its_end(bench: Bench) -> None:
    def rename(session: Session) -> None:
        session.execute(update(Host).values(name="renamed"))

    bench.handle("k", lambda task, context: rename)
    bench.executor.start()
    task = bench.wait(bench.enter("k"))
    assert (task.state, task.progress, task.attempts, task.error) == ("done", 100, 1, "")
    assert bench.database.read(lambda session: session.scalar(select(Host.name))) == "renamed"
    until(lambda: bench.ended == ["o"])


def test_a_failure_says_why_and_writes_what_failure_writes(bench: Bench) -> None:
    def fail(task: Claimed, context: Context) -> None:
        raise Refused("the disk {name} is missing", name="d")

    bench.handle("k", fail, lambda task, error: lambda s: s.execute(update(Host).values(name="failed")))
    bench.executor.start()
    task = bench.wait(bench.enter("k"))
    assert task.state == "failed"
    assert json.loads(task.error)["parameters"] == {"name": "d"}
    assert bench.database.read(lambda session: session.scalar(select(Host.name))) == "failed"


def test_a_broken_handler_fails_with_a_number_and_no_trace(bench: Bench) -> None:
    bench.handle("k", lambda task, context: 1 / 0)  # type: ignore[arg-type, return-value]
    bench.executor.start()
    task = bench.wait(bench.enter("k"))
    assert task.state == "failed"
    assert "ZeroDivision" not in task.error
    assert task.uuid[:8] in task.error


def test_an_unknown_kind_fails(bench: Bench) -> None:
    bench.executor.start()
    assert bench.wait(bench.enter("nonsense")).state == "failed"


def test_an_obsolete_order_is_cancelled(bench: Bench) -> None:
    def obsolete(task: Claimed, context: Context) -> None:
        raise Obsolete("over")

    bench.handle("k", obsolete, lambda task, error: pytest.fail("must not be called"))
    bench.executor.start()
    assert bench.wait(bench.enter("k")).state == "cancelled"


def test_what_is_refused_when_it_is_written_fails_the_task(bench: Bench) -> None:
    def refuse(session: Session) -> None:
        session.execute(update(Host).values(name="half"))
        raise QuotaExceeded("too much")

    bench.handle("k", lambda task, context: refuse)
    bench.executor.start()
    assert bench.wait(bench.enter("k")).state == "failed"
    assert bench.database.read(lambda session: session.scalar(select(Host.name))) == "h"


def test_one_at_a_time_per_object_in_their_order_and_others_beside(bench: Bench) -> None:
    order: list[str] = []
    hold = threading.Event()

    def work(task: Claimed, context: Context) -> None:
        if task.target == "t1" and not order:
            order.append("begin")
            hold.wait(5)
        order.append(f"{task.target}-{task.payload['n']}")

    bench.handle("k", work)
    first, second = bench.enter("k", n=1), bench.enter("k", n=2)
    bench.executor.start()
    bench.wait(first, "running")
    other = bench.enter("k", "t2", n=1)
    bench.wait(other)
    assert bench.task(second).state == "queued"
    hold.set()
    bench.wait(second)
    assert order == ["begin", "t2-1", "t1-1", "t1-2"]


def test_tasks_of_an_earlier_run_are_taken_up_again(bench: Bench) -> None:
    bench.handle("k", lambda task, context: None)
    uuid = bench.enter("k")
    bench.database.write(lambda s: s.execute(update(Task).values(state="running", claim="boot-0", attempts=1)))
    bench.executor.start()
    assert bench.wait(uuid).attempts == 2


def test_a_claim_whose_answer_was_lost_is_found_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.handle("k", lambda task, context: None)
    write, lost = bench.database.write, []

    def lossy(work: Callable[[Session], object]) -> object:
        result = write(work)
        if isinstance(result, list) and result and result[0].attempts and not lost:
            lost.append(True)
            raise DatabaseUnavailable("connection lost during COMMIT")
        return result

    monkeypatch.setattr(bench.database, "write", lossy)
    uuid = bench.enter("k")
    bench.executor.start()
    task = bench.wait(uuid)
    assert lost
    assert (task.state, task.attempts) == ("done", 1)


def test_the_database_may_go_while_a_task_runs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = [DatabaseUnavailable("gone"), DatabaseUnavailable("gone")]

    def work(task: Claimed, context: Context) -> None:
        if failures:
            raise failures.pop()

    bench.handle("k", work)
    bench.executor.start()
    assert bench.wait(bench.enter("k")).state == "done"


def test_libvirtd_may_be_restarted_while_a_task_runs(bench: Bench) -> None:
    bench.libvirt_back = True
    failures = [HypervisorUnavailable("gone")]

    def work(task: Claimed, context: Context) -> None:
        if failures:
            raise failures.pop()

    bench.handle("k", work)
    bench.executor.start()
    assert bench.wait(bench.enter("k")).state == "done"
    failures += [HypervisorUnavailable("gone")] * 2
    assert bench.wait(bench.enter("k")).state == "failed"


def test_a_thousand_tasks_end_once_each(bench: Bench) -> None:
    done: list[int] = []
    bench.handle("k", lambda task, context: done.append(task.id))
    entered = bench.put_all([Order("k", f"t{n % 50}", "", None, bench.host_id, {}) for n in range(300)])
    bench.executor.start()
    for task in entered:
        bench.wait(task.uuid, seconds=60)
    assert len(done) == len(set(done)) == 300


def test_many_tasks_of_one_ring_do_not_wait_for_the_next_look(bench: Bench) -> None:
    """One operation orders many tasks and rings once; there are fewer threads than tasks."""
    bench.runtime.take(Parameters(scheduling_interval=30))
    bench.handle("k", lambda task, context: None)
    bench.executor.start()
    time.sleep(0.1)  # the first look, which sees nothing
    bench.wait(bench.enter("k", "first"))
    uuids = [bench.put("k", f"t{n}") for n in range(10)]
    bench.executor.ring()
    for uuid in uuids:
        bench.wait(uuid)


def test_a_failure_that_cannot_be_cleaned_up_still_ends_the_task(bench: Bench) -> None:
    def refused(task: Claimed, context: Context) -> None:
        raise Refused("no")

    def broken(task: Claimed, error: DosvmError) -> Effect:
        raise RuntimeError("broken")

    bench.handle("k", refused, broken)
    bench.executor.start()
    task = bench.wait(bench.enter("k"))
    assert (task.state, json.loads(task.error)["message"]) == ("failed", "no")


def test_cleaning_up_waits_for_the_database(bench: Bench) -> None:
    away = iter([True, True, False])

    def refused(task: Claimed, context: Context) -> None:
        raise Refused("no")

    def clean(task: Claimed, error: DosvmError) -> Effect:
        if next(away):
            raise DatabaseUnavailable("gone")
        return lambda session: session.execute(update(Host).values(name="clean"))

    bench.handle("k", refused, clean)
    bench.executor.start()
    assert bench.wait(bench.enter("k")).state == "failed"
    assert bench.database.read(lambda session: session.scalar(select(Host.name))) == "clean"


def test_what_cannot_be_written_at_all_fails_the_task(bench: Bench) -> None:
    """Rows that refer to what is to be removed, a value that the database does not take: never a task for ever."""

    def impossible(session: Session) -> None:
        session.add(Host(name="other", uuid="h" * 36, heartbeat=0))
        session.flush()

    bench.handle("k", lambda task, context: impossible, lambda task, error: impossible)
    bench.executor.start()
    task = bench.wait(bench.enter("k"))
    assert task.state == "failed"
    assert task.uuid[:8] in task.error


def test_a_task_that_ends_while_lost_ones_are_looked_for_is_not_done_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a claim of unknown outcome: what was being worked on when the database was asked is not lost."""
    runs, go = [], threading.Event()

    def work(task: Claimed, context: Context) -> None:
        runs.append(task.id)
        go.wait(5)

    bench.handle("k", work)
    bench.executor.start()
    uuid = bench.enter("k")
    bench.wait(uuid, "running")
    claimed_by = tasks.claimed_by

    def slow(session: Session, host_id: int, boot: str) -> list[Claimed]:
        held = claimed_by(session, host_id, boot)
        go.set()
        time.sleep(0.3)
        return held

    monkeypatch.setattr(tasks, "claimed_by", slow)
    bench.executor._uncertain = True
    bench.executor.ring()
    bench.wait(uuid)
    time.sleep(0.5)
    assert len(runs) == 1


def test_a_task_that_was_entered_as_begun_is_done_without_a_look_for_it(bench: Bench) -> None:
    bench.handle("k", lambda task, context: None)
    bench.ready()
    entered = bench.enter_begun("k")
    assert entered is not None
    assert (bench.task(entered.uuid).state, entered.id) == ("running", bench.task(entered.uuid).id)
    bench.executor.begin([entered])
    bench.executor.release(1, unsure=False)
    task = bench.wait(entered.uuid)
    assert (task.state, task.attempts, task.claim) == ("done", 1, "boot-1")
    assert task.started is not None


def test_none_is_begun_before_an_earlier_one_for_the_same_object_has_ended(bench: Bench) -> None:
    done: list[str] = []
    bench.handle("k", lambda task, context: done.append(task.uuid))
    bench.ready()
    first = bench.put("k")
    assert bench.enter_begun("k") is None, "it must queue"
    assert bench.enter_begun("k", "another") is not None
    bench.executor.release(2, unsure=True)
    bench.wait(first)
    assert first in done


def test_nothing_is_promised_that_could_not_begin_at_once(bench: Bench) -> None:
    promise = bench.executor.promise
    assert promise(bench.host_id, "t1") == "", "what an earlier run left comes first"
    bench.ready()
    assert promise(bench.host_id + 1, "t1") == "", "another host's"
    assert bench.targets.take("t1", "observe")
    assert promise(bench.host_id, "t1") == "", "somebody works on it"
    bench.targets.release("t1")
    assert [bool(promise(bench.host_id, f"t{number}")) for number in range(5)] == [True] * 4 + [False], "threads"
    bench.executor.release(4, unsure=False)
    assert promise(bench.host_id, "t1")
    bench.executor.release(1, unsure=False)


def test_a_begun_task_whose_commit_was_not_heard_of_is_done_once(bench: Bench) -> None:
    """Nobody knows whether it was entered: the executor looks what it holds, when no other promise is open."""
    done: list[str] = []
    bench.handle("k", lambda task, context: done.append(task.uuid))
    bench.ready()
    lost = bench.enter_begun("k", "t1")
    other = bench.enter_begun("k", "t2")
    assert lost is not None
    assert other is not None
    bench.executor.release(1, unsure=True)
    assert bench.executor.promise(bench.host_id, "t3") == "", "first it is to be known"
    time.sleep(0.2)
    assert done == [], "the other one is about to begin: it must not be found as well"
    bench.executor.begin([other])
    bench.executor.release(1, unsure=False)
    for task in (lost, other):
        bench.wait(task.uuid)
    assert sorted(done) == sorted([lost.uuid, other.uuid])
    assert bench.executor.promise(bench.host_id, "t3")
    bench.executor.release(1, unsure=False)


def test_a_commit_that_comes_to_light_late_is_still_found(bench: Bench) -> None:
    """The engine hung: after the first look what nobody had heard of was committed after all."""
    done: list[str] = []
    bench.handle("k", lambda task, context: done.append(task.uuid))
    bench.runtime.take(Parameters(scheduling_interval=1))
    bench.ready()
    assert bench.executor.promise(bench.host_id, "t1")
    bench.executor.release(1, unsure=True)
    until(lambda: not bench.executor._uncertain)
    order, now = Order("k", "t1", "t1", None, bench.host_id, {}), bench.executor._clock.now()
    late = bench.database.write(lambda s: tasks.enter_begun(s, order, "boot-1", account="a", origin="o", now=now))
    assert late is not None
    bench.wait(late.uuid, seconds=20)
    assert done == [late.uuid]


def test_who_rings_while_something_is_promised_is_not_forgotten(bench: Bench) -> None:
    """A task for a target that is promised is left waiting; the end of the promise lets it be looked for."""
    bench.handle("k", lambda task, context: None)
    bench.ready()
    until(lambda: not bench.executor._left_waiting)
    assert bench.executor.promise(bench.host_id, "t1")
    bench.executor._claim(bench.host_id, 1)
    assert bench.executor._left_waiting
    bench.executor.release(1, unsure=False)


def test_what_was_given_to_another_host_is_neither_tidied_up_nor_tried_again(bench: Bench) -> None:
    runs: list[str] = []
    tidied: list[str] = []

    def given_away(task: Claimed, context: Context) -> None:
        runs.append(task.kind)
        assert context.held()
        bench.database.write(lambda s: s.execute(update(Task).where(Task.id == task.id).values(claim="heir")))
        assert not context.held()
        if task.kind == "away":
            raise DatabaseUnavailable("gone")

    for kind in ("done", "away"):
        bench.handlers[kind] = Handler(given_away, frozenset(), then=lambda task: tidied.append(task.kind))
    uuids = [bench.put("done", "t1"), bench.put("away", "t2")]
    bench.ready()
    until(lambda: len(runs) >= 2 and not bench.executor._seats.busy)
    assert (sorted(runs), tidied) == (["away", "done"], [])
    assert [bench.task(uuid).state for uuid in uuids] == ["running", "running"]


def test_tasks_of_storage_that_hangs_hold_up_no_others(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with bench.storage_hangs(monkeypatch, disks=6, seconds=0.2) as hanging:
        for task in hanging:
            bench.wait(task, "running")
        assert bench.wait(bench.enter("k", "vm")).state == "done"


def test_tasks_of_storage_that_are_quick_are_no_more_than_there_are_threads(bench: Bench) -> None:
    guard, now, most = threading.Lock(), [0], [0]

    def run(task: Claimed, context: Context) -> None:
        with guard:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.05)
        with guard:
            now[0] -= 1

    bench.handlers["quick"] = Handler(run, frozenset(), storage=True)
    bench.ready()
    for task in [bench.enter("quick", f"disk-{number}") for number in range(12)]:
        assert bench.wait(task).state == "done"
    assert most[0] <= 4


def test_vms_are_started_however_many_tasks_wait_for_storage(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with bench.storage_hangs(monkeypatch, disks=45):
        until(lambda: len(bench.executor._seats._of_storage) >= 34)
        time.sleep(0.3)
        assert len(bench.executor._seats._of_storage) == 34
        for number in range(5):
            assert bench.wait(bench.enter("k", f"vm-{number}")).state == "done"


def test_what_takes_hours_leaves_room_for_what_is_quick_on_other_storage(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.handlers["create"] = Handler(lambda task, context: None, frozenset(), storage=True)
    with bench.storage_hangs(monkeypatch, disks=40, long=True):
        until(lambda: len(bench.executor._seats._long) >= 16)
        assert bench.wait(bench.enter("create", "new")).state == "done"
