"""A small cloud with one of everything, and all kinds of people who may come to its door."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from core.database import Database
from core.errors import (
    AuthenticationFailed,
    DosvmError,
    InvalidInput,
    NotFound,
    PasswordChangeRequired,
    PermissionDenied,
)
from core.model import (
    Base,
    HostGroup,
    HostSample,
    Image,
    Instance,
    LoginLog,
    Machine,
    Pool,
    Project,
    ProjectGroup,
    Purge,
    Secret,
    Task,
    TaskState,
    User,
    Volume,
    host_group_of_project,
    host_in_group,
    instance_image,
    instance_volume,
    pool_of_project,
)
from core.security.passwords import Passwords
from core.security.vault import Vault
from core.services.actor import Actor
from core.services.dispatch import Services
from core.services.sessions import Sessions
from core.specs.instance import DiskSpec, GraphicsSpec, InstanceSpec
from tests.fakes.clock import StillClock
from tests.fakes.cloud import StillCloud
from tests.fakes.office import PASSWORD, Office

#: What a caller gets: let in, or which refusal.
IN = "in"
ERRORS: tuple[tuple[type[DosvmError], str], ...] = (
    (AuthenticationFailed, "who are you"),
    (PasswordChangeRequired, "change your password"),
    (PermissionDenied, "denied"),
    (NotFound, "not found"),
    (InvalidInput, "the table's own arguments are wrong"),
)


@dataclass
class World:
    """Project ``web`` with one of everything, project ``shop`` with as much of its own, and all kinds of people."""

    services: Services
    sessions: Sessions
    cloud: StillCloud
    names: dict[str, str] = field(default_factory=dict)
    uuids: dict[str, str] = field(default_factory=dict)

    def actor(self, who: str) -> Actor:
        """Somebody who calls, as the way in makes them known."""
        if who == "anonymous":
            return self.sessions.authenticate_token("", "192.0.2.7")
        account = {"sysadm": "sysadm", "own": "web-admin", "other": "shop-admin"}.get(who, who)
        return self.sessions.authenticate_password(account, PASSWORD, "192.0.2.7", log=False)

    def attempt(self, who: str, operation: str, arguments: dict[str, Any]) -> str:
        """Call an operation; says whether the caller was let in, or how not."""
        try:
            self.services.call(operation, arguments, self.actor(who), str(uuid.uuid4()))
        except DosvmError as error:
            return next((word for kind, word in ERRORS if isinstance(error, kind)), IN)
        return IN

    def everything(self) -> dict[str, list[Any]]:
        """All rows but those of the login log, to see whether something changed."""
        tables = [name for name in Base.metadata.tables if name != "login_log"]
        return self.services.database.read(
            lambda s: {name: list(s.execute(text(f'SELECT * FROM "{name}"')).all()) for name in tables}
        )


def open_world(database: Database) -> World:
    """The services on a database, with time and the living cloud standing still."""
    clock, cloud = StillClock(), StillCloud()
    passwords = Passwords(clock, memory_kib=64, passes=1, lanes=1)
    sessions = Sessions(database, clock, passwords)
    services = Services(database, clock, cloud, passwords, lambda rings, topics: None, sessions, vault=Vault(bytes(32)))
    return World(services, sessions, cloud)


def furnish(office: Office) -> tuple[dict[str, str], dict[str, str]]:
    """Make it all.

    Returns:
        What ``web`` has, kind -> its name as operations take it, and kind -> UUID.
    """
    names: dict[str, str] = {}
    uuids: dict[str, str] = {}
    for project in ("web", "shop"):
        office.project(project)
        found = _things_of(office, project)
        if project == "web":
            names, uuids = found
    office.project("closed", admin="idle")
    office.sysadm("project.deactivate", project="closed")
    office.user("homeless")
    for account in ("frozen", "newcomer"):
        office.user(account, "web")
    office.sysadm("user.freeze", user="frozen")
    office.user("gone", "web")
    office.sysadm("user.delete", user="gone", own_password=PASSWORD)
    names["trash"] = "gone"
    uuids["trash"] = office.sysadm("trash.list")["rows"][0]["uuid"]
    edits = office.sysadm("log.list", filters={"operation": "project.configure"})["rows"]
    names["log"] = uuids["log"] = next(row["uuid"] for row in edits if row["target"] == "web")
    office.services.database.write(lambda s: _of_other_days(s, office.services.clock.now()))
    return names, uuids


def _of_other_days(session: Session, day: datetime) -> None:
    """What needs a login or a while of its own to be there."""
    session.execute(update(User).where(User.account == "newcomer").values(must_change_password=True))
    session.add(LoginLog(at=day, account="sysadm", address="192.0.2.7", outcome="right"))
    session.add(
        Purge(
            at=day, account="sysadm", address="192.0.2.7", what="log", scope="", scope_name="", before=day, rows=1,
            finished=day,
        )
    )  # fmt: skip


def _things_of(office: Office, name: str) -> tuple[dict[str, str], dict[str, str]]:
    host_id = office.host(f"{name}-host")

    def fill(session: Session) -> dict[str, Any]:
        project = session.scalars(select(Project).where(Project.name == name)).one()
        group = session.scalars(select(ProjectGroup).where(ProjectGroup.name == f"{name}-group")).one()
        host_group = HostGroup(name=f"{name}-hosts")
        pool = Pool(name=f"{name}-pool", kind="dir", capacity=10**12, path=f"/srv/{name}", host_id=host_id)
        history = HostSample(
            host_id=host_id,
            at=office.services.clock.now(),
            cpu_percent=1.0,
            memory_percent=2.0,
            disk_percent=3.0,
            network_rate=4.0,
        )
        session.add_all([host_group, pool, history])
        session.flush()
        for table, row in (
            (host_in_group, {"group_id": host_group.id, "host_id": host_id}),
            (host_group_of_project, {"group_id": host_group.id, "project_id": project.id}),
            (pool_of_project, {"pool_id": pool.id, "project_id": project.id}),
        ):
            session.execute(table.insert().values(**row))
        volume = Volume(
            pool_id=pool.id, project_id=project.id, name=f"{name}-disk", format="qcow2", capacity=2**20, state="present"
        )
        image = Image(
            name=f"{name}-image",
            group_id=group.id,
            project_id=project.id,
            file="a.iso",
            format="iso",
            shared=False,
            state="present",
        )
        secret = Secret(
            name=f"{name}-secret",
            display_name=f"{name} key",
            kind="volume",
            usage=f"{name}/disks",
            project_id=project.id,
        )
        base = Volume(
            pool_id=pool.id, project_id=project.id, name=f"{name}-base", format="qcow2", capacity=2**20, state="present"
        )
        session.add_all([volume, image, secret, base])
        session.flush()
        session.add(
            Volume(
                pool_id=pool.id,
                project_id=project.id,
                name=f"{name}-snapshot",
                format="qcow2",
                capacity=2**20,
                state="present",
                backing_id=base.id,
                root_id=base.id,
            )
        )
        disks = (DiskSpec(volume=volume.uuid), DiskSpec(device="cdrom", image=image.uuid))
        spec = InstanceSpec(vcpus=1, memory=2**26, disks=disks, graphics=(GraphicsSpec(type="vnc"),))
        instance = Instance(
            project_id=project.id,
            name=f"{name}-instance",
            spec=json.dumps(spec.plain()),
            vcpus=spec.vcpus,
            memory=spec.memory,
            unique=True,
        )
        session.add(instance)
        session.flush()
        session.execute(instance_volume.insert().values(instance_id=instance.id, volume_id=volume.id))
        session.execute(instance_image.insert().values(instance_id=instance.id, image_id=image.id))
        machine = Machine(name=f"{name}-vm", project_id=project.id, instance_id=instance.id)
        session.add(machine)
        session.flush()
        task = Task(
            kind="machine.start",
            target=machine.uuid,
            target_name=machine.name,
            project_id=project.id,
            host_id=host_id,
            account="x",
            payload="{}",
            state=TaskState.DONE.value,
        )
        session.add(task)
        session.flush()
        return {
            "project": project,
            "project_group": group,
            "host_group": host_group,
            "pool": pool,
            "volume": volume,
            "image": image,
            "secret": secret,
            "instance": instance,
            "vm": machine,
            "task": task,
            "user": session.scalars(select(User).where(User.account == f"{name}-admin")).one(),
        }

    rows = office.services.database.write(fill)
    uuids = {key: row.uuid for key, row in rows.items()}
    names = {key: getattr(row, "name", row.uuid) for key, row in rows.items() if key not in ("task", "user")}
    names |= {"task": uuids["task"], "user": f"{name}-admin", "volume": f"{name}-pool/{name}-disk"}
    cloud = office.services.cloud
    assert isinstance(cloud, StillCloud)
    view = replace(cloud.views[host_id], groups=frozenset({rows["host_group"].id}))
    cloud.put(view)
    cloud.me = view.uuid
    return names | {"host": view.name}, uuids | {"host": view.uuid}
