"""Hosts, disks and VMs for tests of the services: what hosts would do is done at once, in the database only."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.clock import SystemClock
from core.coordination import machines, states, tasks
from core.coordination.tasks import Claimed
from core.model import Host, Instance, Machine, State, Task, TaskState, Volume
from hostd.bus import Bus
from hostd.carrying import Carrier
from hostd.handling import Handler, Record
from hostd.own_places import OwnPlaces
from tests.fakes.office import GIB, Office, Person

MIB = 1024**2
_BOOT = "boot"
#: A hostd whose home is in nobody's way.
ELSEWHERE = OwnPlaces(Path("/nonexistent/dosvm"))


def web(office: Office, *, hosts: int = 1, cores: int = 16, memory: int = 64 * GIB, **quotas: Any) -> Person:
    """The admin of project ``web``, which may use hosts ``h1`` ... and, when there is one host, a pool ``local``."""
    admin = office.project("web", **quotas)
    names = [f"h{number + 1}" for number in range(hosts)]
    for name in names:
        office.host(name, cores=cores, memory=memory)
    office.sysadm("host-group.add", name="all", hosts=names, projects=["web"])
    office.sysadm(
        "pool.add",
        name="local",
        type="dir",
        host="h1",
        path="/srv/dosvm-test/pool",
        capacity=100 * GIB,
        projects=["web"],
    )
    settle(office)
    return admin


def settle(office: Office) -> None:
    """Let hosts have done what they were told about pools and volumes."""

    def work(session: Session) -> None:
        session.execute(update(Task).values(state=TaskState.DONE.value))
        session.execute(update(Volume).where(Volume.state == "creating").values(state="present"))

    office.services.database.write(work)


def carry_out(office: Office, handlers: Mapping[str, Handler], host: str = "h1") -> Iterator[Claimed]:
    """What the executor does with a host's tasks, once; each when it has ended."""
    database, clock = office.services.database, SystemClock()
    carrier = Carrier(
        database, clock, _BOOT, handlers, Bus(), threading.Event(),
        libvirt_back=lambda _seconds: False, ended=lambda _origin: None,
    )  # fmt: skip
    number = host_id(office, host)
    for task in database.write(lambda session: tasks.take(session, number, _BOOT, clock.now())):
        carrier.carry(task)
        yield task


def disk(office: Office, person: Person, name: str, *, pool: str = "local") -> str:
    """A volume that is there; how people name it."""
    person("volume.add", name=name, pool=pool, capacity=GIB, format="qcow2")
    settle(office)
    return f"{pool}/{name}"


def instance(person: Person, name: str = "shop", **values: Any) -> dict[str, Any]:
    """A new instance, without disks unless told."""
    return person("instance.add", **{"name": name, "vcpus": 1, "memory": 64 * MIB, **values})


def host_id(office: Office, name: str) -> int:
    """A host's id."""
    return office.services.database.read(lambda s: s.scalars(select(Host.id).where(Host.name == name)).one())


def machine(office: Office, name: str) -> Machine:
    """A VM's row."""
    return office.services.database.read(lambda s: s.scalars(select(Machine).where(Machine.name == name)).one())


def stored(office: Office, name: str) -> Instance:
    """An instance's row."""
    return office.services.database.read(lambda s: s.scalars(select(Instance).where(Instance.name == name)).one())


def work(office: Office, host: str = "h1", *, running: bool = True, offered: Sequence[tasks.Claimed] = ()) -> list[str]:
    """What hostd does with a host's tasks of VMs, those it was told of or all, without libvirt; the kinds it did."""
    database, clock, number = office.services.database, office.services.clock, host_id(office, host)
    kinds = []
    taken = database.write(
        lambda s: tasks.claim(s, offered, _BOOT, clock.now()) if offered else tasks.take(s, number, _BOOT, clock.now())
    )
    for task in taken:
        order = database.read(lambda s, t=task: machines.load(s, t.target, office.services.vault))  # type: ignore[misc]
        assert order is not None
        values = _outcome(task.kind, running)
        if values.get("state") == State.RUNNING.value:
            values["started"] = clock.now()

        def end(session: Session, task: Any = task, order: Any = order, values: Any = values) -> None:
            record = Record(order.uuid, number, order.epoch, values)
            if not record.with_end(session, task.id, _BOOT, clock.now()):
                assert tasks.finish(session, task.id, _BOOT, TaskState.DONE, clock.now())
                assert states.record(session, order.uuid, number, order.epoch, values)

        database.write(end)
        kinds.append(task.kind)
    return kinds


def _outcome(kind: str, running: bool) -> dict[str, Any]:
    if kind == "machine.start" and running:
        return {"state": State.RUNNING.value, "vnc_port": 5900, "screen_address": "0.0.0.0", "accelerator": "tcg"}
    if kind == "machine.start":
        return {"state": State.FAILED.value, "start_error": '{"code": "engine", "message": "No such file."}'}
    if kind == "machine.stop":
        return {"state": State.OFF.value, "vnc_port": None, "screen_address": "", "started": None, "start_error": ""}
    return {"state": (State.PAUSED if kind == "machine.suspend" else State.RUNNING).value}
