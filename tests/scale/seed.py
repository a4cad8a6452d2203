"""Fills a database with a large cloud, by a few statements that make their rows inside the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Column, DateTime, Float, Integer, Table, create_engine, text

from core.coordination import log_names
from core.database import Database
from core.model import (
    Base,
    Host,
    HostGroup,
    HostSample,
    Image,
    Instance,
    LoginLog,
    Machine,
    MachineRun,
    OperationLog,
    Pool,
    Project,
    ProjectGroup,
    Purge,
    Task,
    User,
    Volume,
    host_group_of_project,
    host_in_group,
    pool_of_project,
    project_in_group,
)

#: The time of the first row of each log; the others follow, :data:`STEP` seconds apart.
BEGAN = datetime.fromisoformat("2025-01-01")
STEP = 25
#: After everything that is seeded.
NOW = datetime.fromisoformat("2026-01-31T12:00")


@dataclass(frozen=True)
class Sizes:
    """How many of each. What is not here follows from it."""

    hosts: int = 1_000
    projects: int = 5_000
    users: int = 20_000
    machines: int = 10_000
    tasks: int = 50_000
    operations: int = 1_000_000
    logins: int = 500_000
    samples: int = 500_000
    purges: int = 100


class Sql:
    """The words in which the two engines differ."""

    def __init__(self, database: Database) -> None:
        self.is_sqlite = database.is_sqlite

    def numbers(self, count: int) -> str:
        """A table with the numbers from 0 in its column ``i``."""
        if self.is_sqlite:
            return f"(WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT {count}) SELECT i FROM n)"
        return f"(SELECT seq AS i FROM seq_0_to_{count - 1})"

    def named(self, prefix: str, number: str) -> str:
        """``prefix-00042``."""
        if self.is_sqlite:
            return f"printf('{prefix}-%05d', {number})"
        return f"concat('{prefix}-', lpad({number}, 5, '0'))"

    def uuid(self, number: str) -> str:
        """A UUID for each number."""
        if self.is_sqlite:
            return f"printf('%08x-0000-4000-8000-000000000000', {number})"
        return f"concat(lpad(lower(hex({number})), 8, '0'), '-0000-4000-8000-000000000000')"

    def at(self, seconds: str) -> str:
        """So many seconds after :data:`BEGAN`."""
        if self.is_sqlite:
            return f"strftime('%Y-%m-%d %H:%M:%S.000000', '{BEGAN:%Y-%m-%d}', '+' || ({seconds}) || ' seconds')"
        return f"timestamp('{BEGAN:%Y-%m-%d}') + INTERVAL ({seconds}) SECOND"

    def address(self, number: str) -> str:
        """An IP address for each number."""
        high, low = ("/", "%") if self.is_sqlite else ("DIV", "%")
        if self.is_sqlite:
            return f"'10.0.' || (({number}) {high} 250) || '.' || (({number}) {low} 250)"
        return f"concat('10.0.', ({number}) {high} 250, '.', ({number}) {low} 250)"

    def default(self, column: Column[Any]) -> str:
        """What a column has that nobody spoke of."""
        if column.default is not None and column.default.is_scalar:
            value = column.default.arg  # type: ignore[attr-defined]
            return str(int(value)) if isinstance(value, int | float) else f"'{value}'"
        if column.name == "uuid":
            return self.uuid("i")
        if isinstance(column.type, DateTime):
            return self.at(f"i * {STEP}")
        return "0" if isinstance(column.type, Boolean | Integer | Float) else "''"


def fill(database: Database, sizes: Sizes) -> None:
    """Fill an empty database, gather the names of its logs, and let the engine look at what it holds.

    Everything is named after its resource and number: ``project-00042``, ``user-00042``. A third of the operations are
    the system administrator's; ``left-00000`` has 2 % of all, all of them among the oldest tenth.
    """
    sql = Sql(database)
    # The program's own connections give up long before a million rows are made.
    engine = create_engine(database.url)

    def rows(table: Any, count: int, values: Mapping[str, str] = {}) -> None:
        columns: Table = getattr(table, "__table__", table)
        made = {
            column.name: values.get(column.name) or sql.default(column)
            for column in columns.columns
            if column.name in values or (not column.nullable and not column.primary_key)
        }
        names = ", ".join(database.engine.dialect.identifier_preparer.quote(name) for name in made)
        quoted = database.engine.dialect.identifier_preparer.quote(columns.name)
        statement = f"INSERT INTO {quoted} ({names}) SELECT {', '.join(made.values())} FROM {sql.numbers(count)} AS n"
        # An index made of all rows at once costs a tenth of one that follows them one by one.
        later = [index for index in columns.indexes if count > 10_000 and not index.columns[0].foreign_keys]
        for index in later:
            index.drop(engine)
        with engine.begin() as connection:
            connection.execute(text(statement))
        for index in later:
            index.create(engine)

    def spread(number: str, over: int) -> str:
        return f"(({number}) * 7919) % {over}"

    groups, pools, instances = max(1, sizes.projects // 10), sizes.hosts, max(1, sizes.machines // 2)
    kinds = "CASE i % 4 WHEN 0 THEN 'volume.create' WHEN 1 THEN 'machine.stop' ELSE 'machine.start' END"
    operations = "CASE i % 5 WHEN 0 THEN 'vm.stop' WHEN 1 THEN 'user.edit' WHEN 2 THEN 'volume.add' ELSE 'vm.start' END"
    actions = "CASE i % 5 WHEN 0 THEN 'Power off' WHEN 1 THEN 'Edit' WHEN 2 THEN 'Add' ELSE 'Power on' END"
    left = f"i < {sizes.operations // 10} AND i % 5 = 0"
    rows(Host, sizes.hosts, {"name": sql.named("host", "i"), "address": sql.address("i"), "memory": "i * 1048576"})
    rows(ProjectGroup, groups, {"name": sql.named("project-group", "i"), "directory": sql.named("/srv/group", "i")})
    rows(Project, sizes.projects, {"name": sql.named("project", "i"), "max_vcpus": spread("i", 97)})
    rows(project_in_group, sizes.projects, {"group_id": f"i % {groups} + 1", "project_id": "i + 1"})
    rows(User, 1, {"account": "'sysadm'", "role": "'sysadm'", "uuid": sql.uuid("16777216 + i")})
    users = {
        "account": sql.named("user", "i"), "role": "'project'", "project_id": f"{spread('i', sizes.projects)} + 1",
        "display_name": sql.named("name", spread("i", sizes.users)), "phone": spread("i", 1000003),
        "email": sql.named("mail", spread("i", sizes.users)), "frozen": "i % 50 = 0",
    }  # fmt: skip
    rows(User, sizes.users, users)
    rows(HostGroup, groups, {"name": sql.named("host-group", "i")})
    rows(host_in_group, sizes.hosts, {"group_id": f"i % {groups} + 1", "host_id": "i + 1"})
    rows(host_group_of_project, sizes.projects, {"group_id": f"i % {groups} + 1", "project_id": "i + 1"})
    pool = {"name": sql.named("pool", "i"), "kind": "'dir'", "host_id": "i + 1", "capacity": "1099511627776"}
    rows(Pool, pools, pool)
    rows(pool_of_project, sizes.projects, {"pool_id": f"i % {pools} + 1", "project_id": "i + 1"})
    volume = {
        "name": sql.named("volume", "i"), "pool_id": f"i % {pools} + 1", "project_id": f"i % {sizes.projects} + 1",
        "format": "'qcow2'", "state": "'present'", "capacity": spread("i", 1000003),
    }  # fmt: skip
    rows(Volume, sizes.machines, volume)
    image = {
        "name": sql.named("image", "i"), "file": sql.named("image", "i"), "group_id": f"i % {groups} + 1",
        "project_id": "i + 1", "format": "'iso'", "state": "'present'",
    }  # fmt: skip
    rows(Image, sizes.projects, image)
    rows(Instance, instances, {"name": sql.named("instance", "i"), "project_id": f"i % {sizes.projects} + 1"})
    machine = {
        "name": sql.named("vm", spread("i", sizes.machines)), "instance_id": f"i % {instances} + 1",
        "project_id": f"i % {instances} % {sizes.projects} + 1", "host_id": f"i % {sizes.hosts} + 1",
        "power": "CASE WHEN i % 2 THEN 'on' ELSE 'off' END", "state": "CASE WHEN i % 2 THEN 'running' ELSE 'off' END",
    }  # fmt: skip
    rows(Machine, sizes.machines, machine)
    run = {
        "machine": sql.uuid(f"i % {sizes.machines}"), "project_id": f"i % {sizes.projects} + 1", "vcpus": "2",
        "host_id": f"i % {sizes.hosts} + 1", "boot": "'boot'", "pid": "i", "until_ms": "CASE WHEN i % 8 THEN 1 END",
    }  # fmt: skip
    rows(MachineRun, sizes.machines * 4, run)
    task = {
        "kind": kinds, "target_name": sql.named("vm", spread("i", sizes.machines)), "target": sql.uuid("i"),
        "host_id": f"i % {sizes.hosts} + 1", "project_id": f"i % {sizes.projects} + 1",
        "account": sql.named("user", spread("i", sizes.users)), "started": sql.at(f"i * {STEP} + 1"),
        "finished": sql.at(f"i * {STEP} + 2"), "state": "CASE WHEN i % 50 THEN 'done' ELSE 'failed' END",
    }  # fmt: skip
    rows(Task, sizes.tasks, task)
    who = f"CASE WHEN {left} AND i % 10 = 0 THEN 'left-00000' WHEN i % 3 = 0 THEN 'sysadm' ELSE "
    who += sql.named("user", spread("i", sizes.users)) + " END"
    operation = {
        "account": who, "address": sql.address(spread("i", 5000)), "action": actions, "operation": operations,
        "target": sql.named("vm", spread("i", 100_000)), "detail": """'{"changes": {"memory": [1, 2]}}'""",
        "request": sql.uuid("i"), "result": sql.named("{}", "i"),
    }  # fmt: skip
    rows(OperationLog, sizes.operations, operation)
    login = {
        "account": who, "address": sql.address(spread("i", 5000)),
        "outcome": "CASE WHEN i % 20 THEN 'right' ELSE 'wrong' END",
    }  # fmt: skip
    rows(LoginLog, sizes.logins, login)
    rows(HostSample, sizes.samples, {"host_id": f"i % {sizes.hosts} + 1"})
    rows(Purge, sizes.purges, {"account": "'sysadm'", "what": "'log'"})
    engine.dispose()
    log_names.gather(database, NOW)
    analyse(database)


def analyse(database: Database) -> None:
    """What the engines do by themselves after a while: look how their tables are filled."""
    with database.engine.begin() as connection:
        if database.is_sqlite:
            connection.exec_driver_sql("ANALYZE")
            return
        for table in Base.metadata.sorted_tables:
            quoted = database.engine.dialect.identifier_preparer.quote(table.name)
            connection.exec_driver_sql(f"ANALYZE TABLE {quoted}").all()
