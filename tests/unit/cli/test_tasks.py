"""Commands whose work a host does: waited for, or not; ended well, or not; hostd away meanwhile."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.coordination import tasks
from core.errors import EngineError
from core.i18n import N_
from core.model import Task, TaskState
from core.rpc.backend import HostdBackend
from dosvm_tui.commands.waiting import Progress
from tests.fakes.office import Office
from tests.unit.cli.conftest import Dosvm


@pytest.fixture
def shop(office: Office) -> Office:
    """A cloud with a host and a pool, where volumes can be asked for."""
    office.project("web", admin="zhao")
    host = office.host("server1")
    office.sysadm(
        "pool.add", name="local", type="dir", host="server1", path="/srv/pool", capacity=2**40, projects=["web"]
    )
    _end_tasks(office, TaskState.DONE)
    assert host
    return office


def _end_tasks(office: Office, state: TaskState, error: str = "") -> None:
    def end(session: Session) -> None:
        session.execute(update(Task).values(state=state.value, error=error, progress=100))

    office.services.database.write(end)
    office.services._after_commit({}, {"task"})


@contextmanager
def _host_works(
    office: Office, state: TaskState, error: str = "", *, after: threading.Event | None = None
) -> Iterator[None]:
    """A host that ends every task after a moment, as an executor would; not before ``after`` is set."""
    stop = threading.Event()

    def work() -> None:
        if after is not None:
            after.wait(30)
        while not stop.wait(0.1):
            _end_tasks(office, state, error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


ADD = ("volume", "add", "disk1", "--pool", "local", "--capacity", "1GiB")


def test_a_command_waits_until_the_host_is_done(dosvm: Dosvm, shop: Office) -> None:
    with _host_works(shop, TaskState.DONE):
        begin = time.monotonic()
        done = dosvm(*ADD, who="zhao")
    assert (done.code, done.err) == (0, "")
    assert done.out == "Add disk1: done\n"
    assert time.monotonic() - begin > 0.05


def test_what_a_refresh_found_is_told(dosvm: Dosvm, shop: Office) -> None:
    def works(stop: threading.Event) -> None:
        while not stop.wait(0.1):
            shop.services.database.write(_found)
            _end_tasks(shop, TaskState.DONE)

    def _found(session: Session) -> None:
        for task in session.scalars(select(Task.id).where(Task.state == TaskState.QUEUED.value)):
            tasks.tell(session, task, "New: {new}, missing: {gone}, back again: {back}.", new=2, gone=1, back=0)

    for words, told in (((), "New: 2, missing: 1, back again: 0."), (("--lang", "zh"), "新增 2 个")):
        stop = threading.Event()
        thread = threading.Thread(target=works, args=(stop,))
        thread.start()
        try:
            done = dosvm("pool", "refresh", "local", *words, who="zhao")
        finally:
            stop.set()
            thread.join()
        assert (done.code, done.err) == (0, "")
        assert told in done.out


def test_what_the_host_says_went_wrong_is_told(dosvm: Dosvm, shop: Office) -> None:
    error = EngineError(N_("libvirt: {reason}."), remedy=N_("Try again in a moment."), reason="no space left")
    with _host_works(shop, TaskState.FAILED, json.dumps(error.to_wire())):
        done = dosvm(*ADD, who="zhao")
    assert done.code == 1
    assert done.err == "dosvm: libvirt: no space left. Try again in a moment.\n"


def test_a_cancelled_task_failed(dosvm: Dosvm, shop: Office) -> None:
    with _host_works(shop, TaskState.CANCELLED):
        done = dosvm(*ADD, who="zhao")
    assert done.code == 1
    assert "cancelled" in done.err


def test_no_wait_returns_at_once_with_the_task(dosvm: Dosvm, shop: Office) -> None:
    done = dosvm(*ADD, "--no-wait", "-o", "json", who="zhao")
    assert done.code == 0
    task = json.loads(done.out)["task"]
    assert json.loads(dosvm("task", "show", task, "-o", "json", who="zhao").out)["state"] == "queued"
    assert "queued" in dosvm("task", "list", "--filter", "state=queued", who="zhao").out


def test_a_volume_is_made_from_what_show_prints_of_another(dosvm: Dosvm, shop: Office, tmp_path: Path) -> None:
    """It was refused: "unknown key pool_type"."""
    assert dosvm(*ADD, "--no-wait", who="zhao").code == 0
    path = tmp_path / "disk1.yaml"
    path.write_text(dosvm("volume", "show", "local/disk1", "-o", "yaml", who="zhao").out)
    done = dosvm("volume", "add", "disk2", "-f", str(path), "--no-wait", who="zhao")
    assert (done.code, done.err) == (0, "")
    row = json.loads(dosvm("volume", "show", "local/disk2", "-o", "json", who="zhao").out)
    assert (row["capacity"], row["format"]) == (1024**3, "qcow2")
    path.write_text(path.read_text() + "capactiy: 1GiB\n")
    wrong = dosvm("volume", "add", "disk3", "-f", str(path), "--no-wait", who="zhao")
    assert (wrong.code, "unknown key capactiy" in wrong.err) == (2, True), "what nothing prints is still a mistake"


def test_ctrl_c_says_that_it_goes_on_and_how_to_cancel_it(
    dosvm: Dosvm, shop: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It said nothing at all, and the task went on unseen."""

    def pressed(*_given: object, **_more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(HostdBackend, "wait", pressed)
        done = dosvm(*ADD, who="zhao")
    assert done.code == 130
    (task,) = json.loads(dosvm("task", "list", "--filter", "state=queued", "-o", "json", who="zhao").out)
    assert f"It goes on: task {task['uuid']}." in done.err
    assert f"dosvm task cancel {task['uuid']}" in done.err
    assert dosvm("task", "show", task["uuid"], who="zhao").code == 0


def test_progress_is_shown_where_somebody_looks(dosvm: Dosvm, shop: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    looked_at = threading.Event()
    show = Progress.show

    def noted(progress: Progress, row: Mapping[str, Any]) -> None:
        show(progress, row)
        looked_at.set()

    monkeypatch.setattr(Progress, "show", noted)
    with _host_works(shop, TaskState.DONE, after=looked_at):
        done = dosvm(*ADD, who="zhao")
    assert done.code == 0
    assert "Add disk1: queued" in done.err
    assert done.err.endswith("\r\x1b[K")
