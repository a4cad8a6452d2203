"""Security objects: passwords and keys that storage is opened with (manual 8.2).

A value goes in and never comes out again: it is sealed here, and opened by the host that needs it
(:mod:`hostd.hypervisor.secrets`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Row, case, func, or_, select, update

from core.errors import InUse, InvalidInput
from core.i18n import N_
from core.model import Pool, Project, Secret, Volume, new_uuid
from core.rules import names, secrets
from core.security.sealed import purpose
from core.services.editing import HIDDEN, check_version, touch, unused
from core.services.fields import at_field, ruled
from core.services.listing import Query, answer, contains, iso, listing
from core.services.lookup import find, visible
from core.services.operation import EVERYBODY, SYSTEM_ADMIN, Answer, Call, operation
from core.services.relations import some
from core.services.trash import discard, refuse_trashed


def users_of(call: Call, ids: Iterable[int]) -> dict[int, list[str]]:
    """The one place where it is asked who uses secrets: pools by name, volumes as ``pool/name``.

    As far as the caller may see them, in order.
    """
    wanted = list(ids)
    users: dict[int | None, list[str]] = {i: [] for i in wanted}
    if wanted:
        for statement in (
            select(Pool.secret_id, Pool.name).where(Pool.secret_id.in_(wanted), *visible(call, Pool)),
            select(Volume.secret_id, Pool.name + "/" + Volume.name)
            .join(Pool, Pool.id == Volume.pool_id)
            .where(Volume.secret_id.in_(wanted), *visible(call, Volume)),
        ):
            for secret_id, name in call.session.execute(statement):
                users[secret_id].append(name)
    return {i: sorted(users[i]) for i in wanted}


def _first_user(call: Call) -> Any:
    """The first name of :func:`users_of`, to sort by; looked up for each secret, which are few."""
    pool = select(func.min(Pool.name)).where(Pool.secret_id == Secret.id, *visible(call, Pool))
    volume = (
        select(func.min(Pool.name + "/" + Volume.name))
        .join(Volume, Pool.id == Volume.pool_id)
        .where(Volume.secret_id == Secret.id, *visible(call, Volume))
    )
    pools, volumes = (each.correlate(Secret).scalar_subquery() for each in (pool, volume))
    return case((pools.is_(None), volumes), (volumes.is_(None), pools), (pools < volumes, pools), else_=volumes)


def _statement() -> Any:
    return select(Secret, Project.name.label("project")).outerjoin(Project, Project.id == Secret.project_id)


def _rows(call: Call, found: Sequence[Row[Any]]) -> list[dict[str, Any]]:
    users = users_of(call, [row.Secret.id for row in found])
    return [
        {
            "uuid": row.Secret.uuid,
            "name": row.Secret.name,
            "display_name": row.Secret.display_name,
            "kind": row.Secret.kind,
            "usage": row.Secret.usage,
            "project": row.project or "",
            "description": row.Secret.description,
            "used_by": users[row.Secret.id],
            "created": iso(row.Secret.created),
            "version": row.Secret.version,
        }
        for row in found
    ]


@operation("secret.list", roles=EVERYBODY)
def list_(call: Call, *, query: Query) -> Answer:
    """All secrets; for a project admin those that the project's volumes may be encrypted by. Never a value."""
    rows, total = listing(
        call,
        _statement().where(*visible(call, Secret)),
        query,
        columns={
            "name": Secret.name,
            "display_name": Secret.display_name,
            "kind": Secret.kind,
            "usage": Secret.usage,
            "project": Project.name,
            "description": Secret.description,
            "used_by": _first_user(call),
            "created": Secret.created,
        },
        tie=Secret.id,
        search=[Secret.name, Secret.display_name],
        filters={
            "kind": lambda value: Secret.kind == value,
            "usage": lambda value: contains(call, [Secret.usage], str(value)),
            "project": lambda value: (Project.name == value) | (Project.uuid == value),
        },
    )
    return answer(_rows(call, rows), total)


def _show(call: Call, secret: Secret) -> dict[str, Any]:
    return _rows(call, call.session.execute(_statement().where(Secret.id == secret.id)).all())[0]


@operation("secret.show", roles=EVERYBODY)
def show(call: Call, *, secret: str) -> Answer:
    """One secret, without its value."""
    return _show(call, find(call, Secret, secret, field="secret"))


@operation("secret.add", roles=SYSTEM_ADMIN, action=N_("Add"), target="name")
def add(
    call: Call,
    *,
    name: str,
    display_name: str,
    kind: str,
    usage: str,
    value: str,
    project: str = "",
    description: str = "",
) -> Answer:
    """Keep a secret value under a name; ``usage`` is unique among the secrets of its kind."""
    _check(name=name, display_name=display_name, usage=usage, description=description)
    if kind not in secrets.KINDS:
        raise InvalidInput(N_("{field} is one of: {kinds}."), field="kind", kinds=", ".join(secrets.KINDS))
    with at_field("value"):
        secrets.value_of(kind, value)
    owner = find(call, Project, project, field="project") if project else None
    unused(call, Secret.name == name, name)
    _usage_free(call, kind, usage)
    uuid = new_uuid()
    secret = Secret(
        uuid=uuid,
        name=name,
        display_name=display_name,
        kind=kind,
        usage=usage,
        project_id=owner.id if owner else None,
        description=description,
        value=call.vault.seal(value, purpose(uuid)),
        created=call.clock.now(),
    )
    call.session.add(secret)
    call.session.flush()
    call.note(name, object=uuid, kind=kind, usage=usage)
    call.changed("secret")
    return _show(call, secret)


def _check(*, name: str | None, display_name: str | None, usage: str | None, description: str | None) -> None:
    ruled("name", names.identifier, name)
    ruled("display_name", names.name, display_name)
    ruled("usage", secrets.usage, usage)
    ruled("description", names.prose, description)


def _usage_free(call: Call, kind: str, usage: str) -> None:
    unused(call, (Secret.kind == kind) & (Secret.usage == usage), usage, field="usage")


@operation("secret.edit", roles=SYSTEM_ADMIN, action=N_("Edit"), target="secret")
def edit_(
    call: Call,
    *,
    secret: str,
    name: str | None = None,
    display_name: str | None = None,
    usage: str | None = None,
    project: str | None = None,
    description: str | None = None,
    value: str | None = None,
    even_if_used: bool = False,
    version: int | None = None,
) -> Answer:
    """Change a secret; an empty ``value`` stays as it is.

    A volume opens with the value it was made with only: another value for a secret that volumes use is refused
    unless ``even_if_used`` says that it is meant.
    """
    found = find(call, Secret, secret, field="secret")
    check_version(call, found, version)
    _check(name=name, display_name=display_name, usage=usage, description=description)
    if name is not None and name != found.name:
        unused(call, Secret.name == name, name)
    if usage is not None and usage != found.usage:
        _usage_free(call, found.kind, usage)
    call.note(found.name)
    asked = {"name": name, "display_name": display_name, "usage": usage, "description": description}
    changed: dict[str, list[Any]] = {
        key: [getattr(found, key), after]
        for key, after in asked.items()
        if after is not None and after != getattr(found, key)
    }
    # What is no word of the list's columns is written beside the others' compare-and-swap.
    columns: dict[str, Any] = {}
    if project is not None:
        owner = find(call, Project, project, field="project") if project else None
        if (owner.id if owner else None) != found.project_id:
            columns["project_id"] = owner.id if owner else None
            changed["project"] = [_show(call, found)["project"], owner.name if owner else ""]
    if value:
        with at_field("value"):
            secrets.value_of(found.kind, value)
        columns["value"] = call.vault.seal(value, purpose(found.uuid))
        changed["value"] = [HIDDEN, HIDDEN]  # that it changed, never from what to what
    touch(call, found, changed)
    if columns:
        # The row is this transaction's own since the statement above: who uses the secret is final now.
        if value and found.kind == secrets.VOLUME and not even_if_used:
            _refuse_locking_out(call, found)
        if columns.get("project_id") is not None and not even_if_used:
            _refuse_taking_away(call, found, columns["project_id"])
        call.session.execute(
            update(Secret).where(Secret.id == found.id).values(**columns).execution_options(synchronize_session=False)
        )
    call.changed("secret")
    return _show(call, found)


def _refuse_locking_out(call: Call, secret: Secret) -> None:
    users = users_of(call, [secret.id])[secret.id]
    if users:
        raise InUse(
            N_("Volumes were encrypted with the value of secret {name} and open with no other: {users}."),
            remedy=N_("Make another secret for new volumes, or say that you mean it (even if used)."),
            field="value",
            name=secret.name,
            users=some(users),
        )
    refuse_trashed(call, "value", secret.name, _has_volume_of(secret))


def _refuse_taking_away(call: Call, secret: Secret, project_id: int) -> None:
    """Refuse to give a secret to another project than that whose volumes open with it.

    What belongs to no project is used by all that have its pool, so it opens with a secret of none.
    """
    theirs = or_(Volume.project_id.is_(None), Volume.project_id != project_id)
    volumes = call.session.scalars(
        select(Pool.name + "/" + Volume.name)
        .select_from(Volume)
        .join(Pool, Pool.id == Volume.pool_id)
        .where(Volume.secret_id == secret.id, theirs)
        .order_by(Pool.name, Volume.name)
        .limit(6)
    ).all()
    if volumes:
        raise InUse(
            N_("Volumes of other projects, or of none, open with secret {name}: {volumes}."),
            remedy=N_("Give the volumes to that project first, or say that you mean it (even if used)."),
            field="project",
            name=secret.name,
            volumes=some(volumes),
        )


@operation("secret.delete", roles=SYSTEM_ADMIN, action=N_("Delete"), target="secret")
def delete_(call: Call, *, secret: str) -> Answer:
    """Put a secret into the trash that nothing uses (manual 8.2)."""
    found = find(call, Secret, secret, field="secret")
    # Written before the users are read: who ties the secret to something just now waits, or is seen.
    call.session.execute(
        update(Secret)
        .where(Secret.id == found.id)
        .values(version=Secret.version + 1)
        .execution_options(synchronize_session=False)
    )
    users = users_of(call, [found.id])[found.id]
    if users:
        raise InUse(
            N_("Secret {name} is used by: {users}."),
            remedy=N_("Delete them first."),
            field="secret",
            name=found.name,
            users=some(users),
        )
    refuse_trashed(call, "secret", found.name, _has_volume_of(found))
    discard(call, found)
    call.note(found.name, object=found.uuid)
    call.changed("secret")
    return {}


def _has_volume_of(secret: Secret) -> Any:
    """The condition that a project in the trash has volumes that open with this secret only."""
    owners = select(Volume.project_id).where(Volume.secret_id == secret.id, Volume.project_id.is_not(None))
    return Project.__table__.c.id.in_(owners)


def usable(call: Call, reference: str, kind: str, *, field: str) -> Secret:
    """The secret that something new shall use.

    Raises:
        NotFound: there is none that the caller may use.
        InvalidInput: it is for something else.
    """
    found = find(call, Secret, reference, field=field)
    if found.kind != kind:
        raise InvalidInput(
            N_("Secret {name} is for {other}, not for {kind}."),
            field=field,
            name=found.name,
            other=found.kind,
            kind=kind,
        )
    return found
