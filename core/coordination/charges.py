"""Limits that hold however many hosts book against them at once: what pools promise, what projects may use.

Who books first writes the row that has the limit, then counts. The write is a true change (``charges`` grows):
it makes a second transaction wait for the first one on MariaDB and SQLite, and makes one of two collide at
commit on different nodes of a Galera cluster, where reading locks and writes that change nothing are not seen.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import bindparam, case, func, select, text, update
from sqlalchemy.orm import Session

from core.database import insert_new
from core.errors import QuotaExceeded, Refused, overtaken
from core.i18n import N_
from core.model import Host, Image, Instance, Pool, Project, Setting, Volume, pool_of_project
from core.rules.sizes import format_size

#: So many files are named.
_NAMED = 5
#: The setting that whoever gives a directory to something writes; it counts how often that was.
_DIRECTORIES = "directories"
_TO_RUN = text(
    "UPDATE project, host SET project.charges = project.charges + 1, host.charges = host.charges + 1"
    " WHERE project.id = :own_project AND host.id IN :own_hosts"
).bindparams(bindparam("own_hosts", expanding=True))


def charge(session: Session, table: type[Pool] | type[Project] | type[Host], row_id: int) -> None:
    """Begin a booking: from here to the commit nobody else books against this row.

    On SQLite every write transaction has the database to itself from its first moment: there is nothing to do.

    To book against several, charge pools first, then the project, then the host, so that nobody waits in a circle.

    Raises:
        Conflict: the row was deleted at this moment.
    """
    if session.get_bind().dialect.name == "sqlite":
        return
    done = session.execute(
        update(table)
        .where(table.id == row_id)
        .values(charges=table.charges + 1)
        .execution_options(synchronize_session=False)
    )
    if done.rowcount != 1:  # type: ignore[attr-defined]
        raise overtaken()


def charge_to_run(session: Session, project_id: int, host_ids: Collection[int]) -> None:
    """Charge a project and the hosts that shall run its VMs, by one statement; see :func:`charge`.

    A row that was deleted at this moment is not noticed here: what is booked must depend on it.
    """
    if session.get_bind().dialect.name == "sqlite":
        return
    session.execute(_TO_RUN, {"own_project": project_id, "own_hosts": sorted(host_ids)})


def charge_directories(session: Session) -> None:
    """Begin to give a directory to a pool, a project group, or temporary files; see :func:`charge`.

    Each is held against those of all others: from here to the commit nobody else gives one away.
    """
    if session.get_bind().dialect.name == "sqlite":
        return
    row = session.get(Setting, _DIRECTORIES, with_for_update=True)
    if row is None:
        insert_new(session, Setting, [{"key": _DIRECTORIES, "value": "0"}])
        row = session.get_one(Setting, _DIRECTORIES, with_for_update=True)
    row.value = json.dumps(int(json.loads(row.value)) + 1)
    session.flush()


#: What a volume counts with in its pool: what its disk can hold, and of a file that somebody else has put there and
#: nobody has accepted yet, what it takes.
COUNTED = case((Volume.state == "foreign", Volume.allocation), else_=Volume.capacity)

#: What can be done when a volume does not fit whose size is another one's: a snapshot, or what it is merged into.
SAME_SIZE = N_(
    "It counts with all that its disk can hold. Delete volumes that nobody needs, or ask the system administrator for"
    " more."
)


#: What can be done when a file that was found does not fit: its size is its own.
_FOUND = N_(
    "Delete volumes there that nobody needs, or move the file into the directory of a larger storage pool and refresh"
    " both."
)


def fit_pool(session: Session, pool_id: int, more: int, remedy: str = "", *, field: str = "capacity") -> None:
    """Refuse volumes that would sum to more than their pool's capacity; the pool was charged.

    Args:
        session: the write transaction.
        pool_id: the pool.
        more: bytes that come in addition.
        remedy: msgid; what can be done, where a smaller volume or another pool is no way.
        field: what is to blame.

    Raises:
        QuotaExceeded: they do not fit.
    """
    used = select(func.coalesce(func.sum(COUNTED), 0)).where(Volume.pool_id == pool_id).scalar_subquery()
    name, limit, now = session.execute(select(Pool.name, Pool.capacity, used).where(Pool.id == pool_id)).one()
    try:
        _fit_bytes(
            N_("Storage pool {name} holds at most {limit}, of which {used} are taken: this would be {over} too much."),
            remedy or N_("Make the volume smaller, delete others, or use another pool."),
            name,
            limit,
            int(now),
            more,
            field=field,
        )
    except QuotaExceeded as error:
        raise _with_strange(session, pool_id, error) from None


def _with_strange(session: Session, pool_id: int, error: QuotaExceeded) -> QuotaExceeded:
    """A pool is full: also of what nobody has accepted, if there is some."""
    strange = (Volume.pool_id == pool_id, Volume.state == "foreign")
    names = session.scalars(
        select(Volume.name).where(*strange).order_by(Volume.allocation.desc(), Volume.id).limit(_NAMED + 1)
    ).all()
    if not names:
        return error
    taken = session.scalar(select(func.sum(Volume.allocation)).where(*strange)) or 0
    more = {"message": error.message, "parameters": error.parameters}
    return QuotaExceeded(
        N_("{full} Of that, {taken} are files that were found there and nobody has accepted: {files}."),
        remedy=error.remedy,
        field=error.field,
        full=[more],
        taken=format_size(int(taken)),
        files=", ".join([*names[:_NAMED], *(["…"] if len(names) > _NAMED else [])]),
        **error.parameters,
    )


def fit_found(session: Session, volume_id: int, capacity: int) -> None:
    """Refuse a file that was found, and counts with all that its disk can hold from now on, where that is too much.

    Charges its pool. To be called in the transaction that says what it is.

    Args:
        session: the write transaction.
        volume_id: the file, which counts with what it takes until then.
        capacity: bytes that its disk can hold.

    Raises:
        QuotaExceeded: its pool would hold more than its capacity; says by how much.
        Conflict: it was deleted at this moment.
    """
    pool_id = session.scalar(select(Volume.pool_id).where(Volume.id == volume_id))
    if pool_id is None:
        raise overtaken()
    charge(session, Pool, pool_id)
    counted = session.scalar(select(COUNTED).where(Volume.id == volume_id)) or 0
    fit_pool(session, pool_id, max(0, capacity - int(counted)), _FOUND, field="volume")


def fit_disk(session: Session, project_id: int, more: int, remedy: str = "", *, field: str = "capacity") -> None:
    """Refuse volumes of a project that would sum to more than its quota of disk; see :func:`fit_pool`.

    The project was charged.

    Raises:
        QuotaExceeded: they would; says by how much.
    """
    used = select(func.coalesce(func.sum(Volume.capacity), 0)).where(Volume.project_id == project_id).scalar_subquery()
    name, limit, now = _project(session, project_id, Project.max_disk, used)
    _fit_bytes(
        N_("Project {name} may use {limit} of disk and has {used}: this would be {over} too much."),
        remedy or N_("Make the volume smaller, delete others, or ask the system administrator for more."),
        name,
        limit,
        int(now),
        more,
        field=field,
    )


def fit_given(session: Session, project_id: int, pool_id: int, more: int) -> None:
    """Refuse to give a project what is in a pool that it may not use, or ``more`` bytes than its quota of disk.

    Raises:
        Refused: the pool is not given to the project, or one of them is gone.
        QuotaExceeded: it would be too much.
    """
    charge(session, Project, project_id)
    given = select(pool_of_project.c.pool_id).where(
        pool_of_project.c.pool_id == pool_id, pool_of_project.c.project_id == project_id
    )
    if session.scalar(given) is None:
        raise Refused(
            N_("The storage pool is not given to that project."),
            remedy=N_("Give it to the project first: `dosvm project configure`."),
            field="project",
        )
    remedy = N_("Delete others of the project, or raise its quota: `dosvm project configure`.")
    fit_disk(session, project_id, more, remedy, field="project")


def fit_instances(session: Session, project_id: int) -> None:
    """Refuse one more instance of a project than its quota; the project was charged.

    Raises:
        QuotaExceeded: it has as many as it may have.
    """
    used = select(func.count()).select_from(Instance).where(Instance.project_id == project_id).scalar_subquery()
    many = N_("Instances of project {name}: {used} of at most {limit}. This would be {over} too many.")
    _fit_one(session, project_id, Project.max_instances, used, many)


def fit_snapshots(session: Session, project_id: int) -> None:
    """Refuse one more snapshot of a project than its quota; the project was charged.

    Raises:
        QuotaExceeded: it has as many as it may have.
    """
    used = (
        select(func.count())
        .select_from(Volume)
        .where(Volume.project_id == project_id, Volume.backing_id.is_not(None))
        .scalar_subquery()
    )
    many = N_("Snapshots of project {name}: {used} of at most {limit}. This would be {over} too many.")
    _fit_one(session, project_id, Project.max_snapshots, used, many)


def fit_images(session: Session, project_id: int) -> None:
    """Refuse one more image of a project than its quota; the project was charged.

    Raises:
        QuotaExceeded: it has as many as it may have.
    """
    used = select(func.count()).select_from(Image).where(Image.project_id == project_id).scalar_subquery()
    many = N_("Images of project {name}: {used} of at most {limit}. This would be {over} too many.")
    try:
        _fit_one(session, project_id, Project.max_images, used, many)
    except QuotaExceeded as error:
        raise _with_uploads(session, project_id, error) from None


def _with_uploads(session: Session, project_id: int, error: QuotaExceeded, but: int = 0) -> QuotaExceeded:
    """No more images fit: also because of others (``but`` one, by its id) that are still being uploaded, if any are."""
    uploading = (Image.project_id == project_id, Image.state == "uploading", Image.id != but)
    names = session.scalars(select(Image.name).where(*uploading).order_by(Image.size.desc(), Image.id)).all()
    if not names:
        return error
    size = session.scalar(select(func.sum(Image.size)).where(*uploading)) or 0
    more = {"message": error.message, "parameters": error.parameters}
    return QuotaExceeded(
        N_("{full} Of that, {count} are still being uploaded ({size}): {images}."),
        remedy=error.remedy,
        field=error.field,
        full=[more],
        count=len(names),
        size=format_size(int(size)),
        images=", ".join([*names[:_NAMED], *(["…"] if len(names) > _NAMED else [])]),
        **error.parameters,
    )


def fit_image_bytes(session: Session, image_id: int, size: int, *, field: str = "file") -> None:
    """Refuse the size of an image, known once its file was looked at, that passes its project's quota.

    Charges the project itself. To be called in the transaction that writes the size.

    Args:
        session: the write transaction.
        image_id: the image; what it was charged with before is forgotten.
        size: bytes of its file.
        field: what is to blame.

    Raises:
        QuotaExceeded: the images of the project would be larger than they may be.
        Conflict: the project or the image was deleted at this moment.
    """
    project_id = session.scalar(select(Image.project_id).where(Image.id == image_id))
    if project_id is None:
        raise overtaken()
    charge(session, Project, project_id)
    used = (
        select(func.coalesce(func.sum(Image.size), 0))
        .where(Image.project_id == project_id, Image.id != image_id)
        .scalar_subquery()
    )
    name, limit, now = _project(session, project_id, Project.max_image_bytes, used)
    try:
        _fit_bytes(
            N_("Images of project {name} may have {limit} and have {used}: this one would be {over} too much."),
            N_("Delete others, or ask the system administrator for more."),
            name,
            limit,
            int(now),
            size,
            field=field,
        )
    except QuotaExceeded as error:
        raise _with_uploads(session, project_id, error, image_id) from None


def _project(session: Session, project_id: int, limit: Any, used: Any) -> tuple[str, int, int]:
    found = session.execute(select(Project.name, limit, used).where(Project.id == project_id)).one()
    return found[0], int(found[1]), int(found[2])


def refuse_over(
    sentence: str,
    remedy: str,
    name: str,
    limit: int,
    used: int,
    more: int,
    *,
    field: str | None = None,
    shown: Callable[[int], object] = int,
) -> None:
    """Refuse what would pass a limit: the one place where a limit is held against what is used.

    Args:
        sentence: the msgid; may use ``{name}``, ``{limit}``, ``{used}`` and ``{over}``.
        remedy: another one.
        name: of what has the limit.
        limit: the most.
        used: what counts already.
        more: what comes in addition.
        field: what is to blame.
        shown: how people read such a number.

    Raises:
        QuotaExceeded: says by how much.
    """
    if used + more > limit:
        numbers = {"limit": shown(limit), "used": shown(used), "over": shown(used + more - limit)}
        raise QuotaExceeded(sentence, remedy=remedy, field=field, name=name, **numbers)


def _fit_bytes(
    sentence: str, remedy: str, name: str, limit: int, used: int, more: int, *, field: str = "capacity"
) -> None:
    refuse_over(sentence, remedy, name, limit, used, more, field=field, shown=format_size)


def _fit_one(session: Session, project_id: int, most: Any, used: Any, many: str) -> None:
    """Refuse one more of what is counted; ``many`` is the msgid that says there would be too many."""
    name, limit, now = _project(session, project_id, most, used)
    refuse_over(many, N_("Delete others, or ask the system administrator for more."), name, limit, now, 1)
