"""Finds objects by what people call them, and only those the caller may act on.

A reference is a UUID or a name. What belongs to somebody else is not found, rather than forbidden:
its existence is nobody's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, or_, select

from core.errors import NotFound
from core.i18n import N_
from core.model import (
    Base,
    Host,
    HostGroup,
    Image,
    Instance,
    Machine,
    Pool,
    Project,
    ProjectGroup,
    Secret,
    User,
    Volume,
    host_group_of_project,
    pool_of_project,
    project_in_group,
)
from core.rules.names import is_uuid
from core.rules.secrets import VOLUME
from core.services.operation import Call

M = TypeVar("M", bound=Base)

_KIND = {
    Host: N_("host"),
    HostGroup: N_("host group"),
    Image: N_("image"),
    Instance: N_("instance"),
    Machine: N_("VM"),
    Pool: N_("storage pool"),
    Project: N_("project"),
    ProjectGroup: N_("project group"),
    Secret: N_("secret"),
    User: N_("user"),
    Volume: N_("volume"),
}


def visible(call: Call, model: type[Base]) -> list[ColumnElement[bool]]:
    """The conditions under which rows of a table are the caller's to see.

    What belongs to a project in the trash is nobody's; what is in the trash itself no operation's session finds.
    """
    if call.actor.is_sysadm:
        return _of_live_projects(call, model)
    mine = call.actor.project_id
    if model in (Instance, Machine):
        return [model.project_id == mine]
    if model is Pool:
        return [Pool.id.in_(select(pool_of_project.c.pool_id).where(pool_of_project.c.project_id == mine))]
    if model is Volume:
        return [
            (Volume.project_id == mine) | Volume.project_id.is_(None),
            Volume.pool_id.in_(select(pool_of_project.c.pool_id).where(pool_of_project.c.project_id == mine)),
        ]
    if model is Image:
        groups = select(project_in_group.c.group_id).where(project_in_group.c.project_id == mine)
        return [Image.group_id.in_(groups), *_of_live_projects(call, Image)]
    if model is ProjectGroup:
        return [ProjectGroup.id.in_(select(project_in_group.c.group_id).where(project_in_group.c.project_id == mine))]
    if model is Project:
        return [Project.id == mine]
    if model is Secret:
        return [Secret.project_id == mine, Secret.kind == VOLUME]  # those of storage pools are for who makes these
    if model is HostGroup:
        given = select(host_group_of_project.c.group_id).where(host_group_of_project.c.project_id == mine)
        return [HostGroup.id.in_(given)]
    if model is User:
        return [User.id == call.actor.user_id]
    if model is Host:
        return []  # names of hosts are no secret; which of them may be used is for placement to say
    raise AssertionError(f"no rule says who may see {model.__name__}")


def _of_live_projects(call: Call, model: type[Base]) -> list[ColumnElement[bool]]:
    if model not in (Instance, Machine, Image, Volume) or not call.trashed_projects:
        return []
    live = model.project_id.not_in(call.trashed_projects)
    return [Volume.project_id.is_(None) | live] if model is Volume else [live]


def find(call: Call, model: type[M], reference: str, *, field: str, statement: Select[Any] | None = None) -> M:
    """One object by UUID or name.

    Args:
        call: whose eyes to look with.
        model: the table.
        reference: UUID, or name (account for users; ``pool/name`` for volumes; for the system
            administrator ``project/name`` for instances and VMs).
        field: the argument it came from, for the error.
        statement: a select of ``model`` with its own loading options.

    Raises:
        NotFound: there is none that the caller may see, or a name fits several.
    """
    query = (statement if statement is not None else select(model)).where(*meant(call, model, reference))
    found = list(call.session.scalars(query.limit(2)))
    if len(found) != 1:
        raise not_one(model, reference, len(found), field=field)
    result: M = found[0]
    return result


def find_each(call: Call, model: type[Instance] | type[Machine], references: Sequence[str], *, field: str) -> list[Any]:
    """As :func:`find`, of many references by few statements; in place of one that leads nowhere, its NotFound."""
    plain = {reference.lower() if is_uuid(reference) else reference for reference in references if "/" not in reference}
    found: dict[str, list[Any]] = {}
    for column in (model.uuid, model.name):
        keys = [key for key in plain if is_uuid(key) == (column is model.uuid)]
        if keys:
            for row in call.session.scalars(select(model).where(*visible(call, model), column.in_(keys))):
                found.setdefault(getattr(row, column.key), []).append(row)
    ends: list[Any] = []
    for reference in references:
        if "/" in reference:
            try:
                ends.append(find(call, model, reference, field=field))
            except NotFound as error:
                ends.append(error)
            continue
        rows = found.get(reference.lower() if is_uuid(reference) else reference, [])
        ends.append(rows[0] if len(rows) == 1 else not_one(model, reference, len(rows), field=field))
    return ends


def meant(call: Call, model: type[Base], reference: str) -> list[ColumnElement[bool]]:
    """The conditions that :func:`find` finds an object by, for statements of another form."""
    return [*visible(call, model), *_matches(model, reference)]


def not_one(model: type[Base], reference: str, found: int, *, field: str) -> NotFound:
    """What to raise when a reference leads to ``found`` objects, which are none or several."""
    if found:
        return NotFound(
            N_("Several have the name {name}."),
            remedy=N_("Write PROJECT/NAME or the UUID."),
            field=field,
            name=reference,
        )
    # By a UUID as by a name: whether there was one, or is one of somebody else's, is nobody's business.
    return NotFound(N_("There is no {kind} {name}."), field=field, kind=_KIND[model], name=reference)


def _matches(model: type[Base], reference: str) -> list[ColumnElement[bool]]:
    if is_uuid(reference):
        return [model.uuid == reference.lower()]  # type: ignore[attr-defined]
    if model is User:
        return [User.account == reference]
    if model is Volume:
        pool, slash, volume = reference.partition("/")
        if not slash:
            return [Volume.name == reference]
        return [Volume.name == volume, Volume.pool_id.in_(select(Pool.id).where(Pool.name == pool))]
    if model in (Instance, Machine):
        # Names of projects and of instances may hold slashes too: each of them may be what parts the two.
        parts = reference.split("/")
        meant_by = [model.name == reference]
        for at in range(1, len(parts)):
            owner = select(Project.id).where(Project.name == "/".join(parts[:at]))
            meant_by.append((model.name == "/".join(parts[at:])) & model.project_id.in_(owner))
        return [or_(*meant_by)]
    return [model.name == reference]  # type: ignore[attr-defined]
