"""All operations x all kinds of callers x whose things they are.

Deny by default: an operation that nobody wrote down in ``rights.py`` fails here. Who is refused changes
nothing, learns nothing of what others have, and is refused by name as by UUID.
"""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update

import core.services.registry  # noqa: F401  (the whole table of operations)
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
    Image,
    Instance,
    Machine,
    Pool,
    Project,
    ProjectGroup,
    Task,
    TaskState,
    User,
    Volume,
    host_group_of_project,
    host_in_group,
    pool_of_project,
)
from core.security.passwords import Passwords
from core.security.vault import Vault
from core.services.actor import Actor
from core.services.dispatch import Services
from core.services.operation import OPERATIONS
from core.services.sessions import Sessions
from tests.architecture.rights import RIGHTS, Right
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
    office: Office
    names: dict[str, str]
    uuids: dict[str, str]

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


CALLERS = ("anonymous", "frozen", "newcomer", "idle", "homeless", "other", "sysadm", "own")


def expected(right: Right, who: str) -> str:
    """What a caller must get."""
    if who in ("anonymous", "frozen"):
        return "who are you"
    if who == "newcomer":
        return IN if right.first else "change your password"
    if who == "sysadm":
        return IN if "S" in right.who else "denied"
    if "P" not in right.who or (who in ("idle", "homeless") and not right.idle):
        return "denied"
    if who == "other" and right.owned:
        return "not found"
    return IN


@pytest.fixture(scope="module")
def _template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str], dict[str, str]]:
    file = tmp_path_factory.mktemp("world") / "cloud.db"
    file.touch()
    database = Database(f"sqlite:///{file}")
    Base.metadata.create_all(database.engine)
    world = _open(database)
    names, uuids = _furnish(world.office)
    database.close()
    return file, names, uuids


def _open(database: Database, *, office: bool = True) -> World:
    clock, cloud = StillClock(), StillCloud()
    passwords = Passwords(clock, memory_kib=64, passes=1, lanes=1)
    sessions = Sessions(database, clock, passwords)
    services = Services(database, clock, cloud, passwords, lambda rings, topics: None, sessions, vault=Vault(bytes(32)))
    made = Office(services) if office else Office.__new__(Office)
    return World(services, sessions, made, {}, {})


def _furnish(office: Office) -> tuple[dict[str, str], dict[str, str]]:
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
    office.services.database.write(
        lambda s: s.execute(update(User).where(User.account == "newcomer").values(must_change_password=True))
    )
    return names, uuids


def _things_of(office: Office, name: str) -> tuple[dict[str, str], dict[str, str]]:
    host_id = office.host(f"{name}-host")

    def fill(session: Any) -> dict[str, Any]:
        project = session.query(Project).filter_by(name=name).one()
        group = session.query(ProjectGroup).filter_by(name=f"{name}-group").one()
        host_group = HostGroup(name=f"{name}-hosts")
        pool = Pool(name=f"{name}-pool", kind="dir", capacity=10**12, path=f"/srv/{name}", host_id=host_id)
        session.add_all([host_group, pool])
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
        instance = Instance(project_id=project.id, name=f"{name}-instance", spec="{}", vcpus=1, memory=2**26)
        session.add_all([volume, image, instance])
        session.flush()
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
            "instance": instance,
            "vm": machine,
            "task": task,
            "user": session.query(User).filter_by(account=f"{name}-admin").one(),
        }

    rows = office.services.database.write(fill)
    uuids = {key: row.uuid for key, row in rows.items()}
    names = {key: getattr(row, "name", row.uuid) for key, row in rows.items() if key not in ("task", "user")}
    names |= {"task": uuids["task"], "user": f"{name}-admin", "volume": f"{name}-pool/{name}-disk"}
    view = office.services.cloud.host(host_id)
    assert view is not None
    return names | {"host": view.name}, uuids | {"host": view.uuid}


@pytest.fixture
def world(_template: tuple[Path, dict[str, str], dict[str, str]], tmp_path: Path) -> Iterator[World]:
    """The furnished world, anew for each test."""
    file, names, uuids = _template
    shutil.copy(file, tmp_path / "cloud.db")
    database = Database(f"sqlite:///{tmp_path}/cloud.db")
    world = _open(database, office=False)
    world.names, world.uuids = names, uuids
    yield world
    database.close()


def filled(arguments: Any, references: dict[str, str]) -> Any:
    """Arguments with ``$things`` replaced."""
    if isinstance(arguments, dict):
        return {key: filled(value, references) for key, value in arguments.items()}
    if isinstance(arguments, list):
        return [filled(value, references) for value in arguments]
    if isinstance(arguments, str) and arguments.startswith("$"):
        return references[arguments[1:]]
    return arguments


def test_every_operation_has_its_rights_written_down() -> None:
    assert sorted(OPERATIONS) == sorted(RIGHTS)


@pytest.mark.parametrize("operation", sorted(RIGHTS))
def test_the_declaration_names_the_same_roles(operation: str) -> None:
    letters = {"sysadm": "S", "project": "P"}
    assert sorted(letters[role.value] for role in OPERATIONS[operation].roles) == sorted(RIGHTS[operation].who)


@pytest.mark.parametrize("operation", sorted(RIGHTS))
@pytest.mark.parametrize("by", ["name", "uuid"])
def test_rights(operation: str, by: str, world: World) -> None:
    right = RIGHTS[operation]
    arguments = filled(right.arguments, world.names if by == "name" else world.uuids)
    before = world.everything()
    table: dict[str, str] = {}
    for who in sorted(CALLERS, key=lambda who: expected(right, who) == IN):
        table[who] = world.attempt(who, operation, arguments)
        if table[who] != IN:
            assert world.everything() == before, f"{who} was refused and yet changed something"
    assert table == {who: expected(right, who) for who in CALLERS}


@pytest.mark.parametrize("operation", sorted(name for name, right in RIGHTS.items() if name.endswith(".list")))
def test_a_list_shows_nothing_of_another_project(operation: str, world: World) -> None:
    if "P" not in RIGHTS[operation].who:
        pytest.skip("not for project admins")
    rows = world.services.call(operation, {}, world.actor("other"), "")["rows"]
    foreign = {*world.uuids.values(), *world.names.values(), "web"}
    told = {value for row in rows for value in _values(row)}
    assert not told & foreign


@pytest.mark.parametrize("operation", sorted(RIGHTS))
@pytest.mark.parametrize("who", ["sysadm", "own"])
def test_nonsense_is_refused_in_words(operation: str, who: str, world: World) -> None:
    """Whatever a caller sends instead of each argument, the answer is an answer or an error of ours."""
    good = filled(RIGHTS[operation].arguments, world.names)
    actor = world.actor(who)
    nonsense: list[Any] = [
        None,
        "",
        "[red]x",
        "../../etc",
        "'; DROP TABLE user; --",
        -1,
        2**63,
        True,
        [],
        {},
        "\0",
        "\ud800",
    ]
    for name in good:
        for value in nonsense:
            with contextlib.suppress(DosvmError):
                world.services.call(operation, {**good, name: value}, actor, str(uuid.uuid4()))


def _values(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for element in value.values():
            yield from _values(element)
    elif isinstance(value, list):
        for element in value:
            yield from _values(element)
    else:
        yield value
