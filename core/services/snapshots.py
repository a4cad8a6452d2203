"""Snapshots of volumes: volumes that record the differences to another one, and make a tree (manual 9.4.8)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, or_, select, update

from core.coordination.charges import SAME_SIZE, charge, fit_snapshots
from core.coordination.storage import exchange_disk
from core.errors import InUse, NotFound, Refused
from core.i18n import N_
from core.model import Instance, Pool, Volume
from core.rules import names
from core.rules.pools import KINDS
from core.services.editing import unused
from core.services.fields import ruled
from core.services.listing import Query, answer, listing
from core.services.lookup import find, visible
from core.services.operation import EVERYBODY, Answer, Call, operation
from core.services.orders import host_for, idle, order
from core.services.relations import some
from core.services.volume_checks import (
    book,
    claim,
    owned,
    pool_of,
    refuse_absent,
    refuse_broken,
    refuse_running,
    refuse_unready,
)
from core.services.volume_checks import writers as writing
from core.services.volumes import columns, filters, rows, statement

#: Most volumes that rest on each other: each makes every read of the guest look into one file more.
MAX_DEPTH = 32
#: Levels of a tree that are drawn by lines; below them a number says how deep a volume is.
_DRAWN = 4
#: And of encrypted ones: each makes whoever opens it, a VM's start too, wait for 2 s (LUKS) until its key is found.
MAX_ENCRYPTED = 10


@operation("snapshot.list", roles=EVERYBODY)
def list_(call: Call, *, query: Query) -> Answer:
    """Snapshots; with the filter ``volume`` the whole tree that it belongs to, drawn in ``branch`` and ``tree``."""
    wanted = query.filters.get("volume")
    if wanted:
        try:
            return _tree(call, find(call, Volume, str(wanted), field="volume"), query)
        except NotFound:
            return answer([], 0)  # as any filter that nothing fits
    page, total = listing(
        call,
        select(Volume.id).where(Volume.backing_id.is_not(None), *visible(call, Volume)),
        query,
        columns=columns(call),
        tie=Volume.id,
        search=[Volume.name, Volume.display_name],
        filters=filters(call),
        rows=statement(),
    )
    return answer([_drawn(row) for row in rows(call, page)], total)


@operation("snapshot.show", roles=EVERYBODY)
def show(call: Call, *, snapshot: str) -> Answer:
    """One volume of a tree; ``chain`` is what it rests on, the nearest first."""
    found = find(call, Volume, snapshot, field="snapshot")
    tree = {row.Volume.id: row for row in _rows_of_tree(call, found)}
    chain, step = [], found.backing_id
    while step is not None and step in tree:
        chain.append(f"{tree[step].pool}/{tree[step].Volume.name}")
        step = tree[step].Volume.backing_id
    row = rows(call, [tree[found.id]])[0]
    return {**_drawn(row), "chain": chain}


def _drawn(row: dict[str, Any], branch: str = "") -> dict[str, Any]:
    return {**row, "branch": branch, "tree": branch + row["name"]}


def _rows_of_tree(call: Call, volume: Volume) -> Sequence[Row[Any]]:
    root = volume.root_id if volume.root_id is not None else volume.id
    within = statement().where(or_(Volume.id == root, Volume.root_id == root), *visible(call, Volume))
    return call.session.execute(within.order_by(Volume.name, Volume.id)).all()


def _tree(call: Call, volume: Volume, query: Query) -> Answer:
    """A tree from its root on, each volume before what rests on it; the search leaves out what does not fit."""
    found = _rows_of_tree(call, volume)
    seen = {row.Volume.id for row in found}
    below: dict[int | None, list[Row[Any]]] = {}
    for row in found:
        # What rests on somebody else's snapshot stands by itself.
        step = row.Volume.backing_id if row.Volume.backing_id in seen else None
        below.setdefault(step, []).append(row)
    ordered: list[tuple[Row[Any], str]] = []
    left: list[tuple[Row[Any], str, str]] = [(row, "", "") for row in reversed(below.get(None, []))]
    while left:
        row, branch, indent = left.pop()
        ordered.append((row, branch))
        children = below.get(row.Volume.id, [])
        for index, child in reversed(list(enumerate(children))):
            last = index == len(children) - 1
            below_it = indent + ("   " if last else "│  ")
            deep = len(below_it) // 3
            # A name that is pushed out of its column is no use; so far down, how far says more than the lines.
            mark = f"┄{deep}┄ " if deep > _DRAWN else indent + ("└─ " if last else "├─ ")
            left.append((child, mark, below_it))
    needle = query.search.casefold()
    shown = [
        (row, branch)
        for row, branch in ordered
        if needle in row.Volume.name.casefold() or needle in row.Volume.display_name.casefold()
    ]
    page = shown[query.offset : query.offset + query.limit]
    drawn = rows(call, [row for row, _branch in page])
    return {
        "rows": [_drawn(row, branch) for row, (_found, branch) in zip(drawn, page, strict=True)],
        "total": len(shown),
    }


@operation("volume.snapshot", roles=EVERYBODY, action=N_("Make a snapshot"), target="volume")
def snapshot(
    call: Call, *, volume: str, name: str, display_name: str = "", description: str = "", switch: bool = False
) -> Answer:
    """Make a snapshot of a volume: a new volume that rests on it, for instances to use in its place.

    The volume is not written to from then on. With ``switch`` an instance that writes to it goes on with the snapshot.
    """
    parent = find(call, Volume, volume, field="volume")
    ruled("name", names.identifier, name)
    ruled("display_name", names.display_name, display_name)
    ruled("description", names.prose, description)
    pool = _of_files(call, parent)
    host_id = host_for(call, pool, field="volume")
    project_id = _owner(call, parent)
    charge(call.session, Pool, pool.id)
    find(call, Pool, pool.uuid, field="volume")
    refuse_unready(call, pool)
    _hold(call, parent)
    refuse_absent(parent)
    refuse_broken(call, parent)
    # It may have grown until it was held.
    book(call, pool.id, project_id, parent.capacity, SAME_SIZE, field="volume")
    _refuse_deep(call, parent)
    if project_id is not None:
        fit_snapshots(call.session, project_id)
    unused(call, (Volume.pool_id == pool.id) & (Volume.name == name), name)
    writers = writing(call, parent)
    if writers:
        _refuse_written(call, parent, writers, switch=switch)
        refuse_running(call, parent)
    made = _entered(call, parent, pool, name, display_name, description)
    switched: dict[str, str] = {}
    if writers:
        switched = exchange_disk(call.session, parent.id, made.id)
        call.detail["instances"] = list(switched.values())
        call.changed("instance", "vm")
    call.note(f"{pool.name}/{name}", object=made.uuid, volume=f"{pool.name}/{parent.name}")
    call.changed("volume", "pool", "usage")
    # If it cannot be made, these and no others have their volume again.
    payload = {"switched": list(switched)} if switched else None
    return order(call, "volume.create", made, host_id, project_id=project_id, payload=payload)


def _owner(call: Call, volume: Volume) -> int | None:
    """Whose a volume is that is made of another one: the caller's, and of the system administrator that one's."""
    return volume.project_id if call.actor.is_sysadm else call.actor.project_id


def _of_files(call: Call, volume: Volume) -> Pool:
    pool = pool_of(call, volume)
    if not KINDS[pool.kind].files:
        raise Refused(
            N_("Volumes of storage pool {name} are no files: their storage system makes snapshots of them."),
            field="volume",
            name=pool.name,
        )
    return pool


def _hold(call: Call, volume: Volume) -> None:
    """Write the row: whoever ties the volume to an instance, deletes or grows it waits for this, or this for them."""
    call.session.execute(
        update(Volume)
        .where(Volume.id == volume.id)
        .values(version=Volume.version + 1)
        .execution_options(synchronize_session=False)
    )
    call.session.refresh(volume)
    idle(call, volume, field="volume")


def _refuse_deep(call: Call, parent: Volume) -> None:
    below = {row.Volume.id: row.Volume.backing_id for row in _chain_rows(call, parent)}
    depth, step = 1, parent.backing_id
    most = MAX_ENCRYPTED if parent.secret_id is not None else MAX_DEPTH
    while step is not None and depth <= most:
        depth, step = depth + 1, below.get(step)
    if depth >= most:
        raise Refused(
            N_("Volume {name} rests on {count} others; more make it slow."),
            remedy=N_("Merge it into a volume of its own, and make the snapshot of that."),
            field="volume",
            name=parent.name,
            count=depth - 1,
        )


def _chain_rows(call: Call, volume: Volume) -> Sequence[Row[Any]]:
    if volume.root_id is None:
        return ()
    within = statement().where(or_(Volume.id == volume.root_id, Volume.root_id == volume.root_id))
    return call.session.execute(within).all()


def _refuse_written(call: Call, parent: Volume, writers: list[Instance], *, switch: bool) -> None:
    if not call.actor.is_sysadm and any(instance.project_id != call.actor.project_id for instance in writers):
        raise InUse(
            N_("Another project writes to volume {name}. It may not change once it has a snapshot."),
            field="volume",
            name=parent.name,
        )
    if not switch:
        raise InUse(
            N_("Volume {name} is written to by instances: {instances}. It may not change once it has a snapshot."),
            remedy=N_("Let them go on with the snapshot (`--switch`), or take the volume out of them."),
            field="switch",
            name=parent.name,
            instances=some([instance.name for instance in writers]),
        )


def _entered(call: Call, parent: Volume, pool: Pool, name: str, display_name: str, description: str) -> Volume:
    """The row of a new volume that rests on another one, encrypted as that is."""
    options = json.loads(parent.options) if parent.options else {}
    kept = {key: options[key] for key in ("mode", "owner", "group") if key in options}
    made = Volume(
        pool_id=pool.id,
        project_id=_owner(call, parent),
        secret_id=parent.secret_id,
        backing_id=parent.id,
        root_id=parent.root_id if parent.root_id is not None else parent.id,
        name=name,
        display_name=display_name,
        description=description,
        format="qcow2",
        capacity=parent.capacity,
        options=json.dumps(kept),
        state="creating",
        created=call.clock.now(),
    )
    call.session.add(made)
    call.session.flush()
    return made


@operation("volume.merge", roles=EVERYBODY, action=N_("Merge"), target="volume")
def merge(call: Call, *, volume: str, name: str, display_name: str = "", description: str = "") -> Answer:
    """Write all that a snapshot shows into a new volume that rests on nothing; the snapshot stays (manual 9.4.8.4)."""
    source = owned(call, volume)
    ruled("name", names.identifier, name)
    ruled("display_name", names.display_name, display_name)
    ruled("description", names.prose, description)
    pool = _of_files(call, source)
    if source.backing_id is None:
        raise Refused(N_("Volume {name} is no snapshot: it rests on nothing."), field="volume", name=source.name)
    host_id = host_for(call, pool, field="volume")
    charge(call.session, Pool, pool.id)
    find(call, Pool, pool.uuid, field="volume")
    refuse_unready(call, pool)
    idle(call, source, field="volume")
    call.session.refresh(source)
    refuse_absent(source)
    refuse_broken(call, source)
    # While it is merged no VM starts with it, and nothing of its chain changes: the new volume rests on it till then.
    claim(call, source, "merging")
    book(call, pool.id, _owner(call, source), source.capacity, SAME_SIZE, field="volume")
    refuse_running(call, source)
    unused(call, (Volume.pool_id == pool.id) & (Volume.name == name), name)
    made = _entered(call, source, pool, name, display_name, description)
    call.note(f"{pool.name}/{name}", object=made.uuid, volume=f"{pool.name}/{source.name}")
    call.changed("volume", "pool", "usage")
    return order(call, "volume.merge", made, host_id, project_id=made.project_id, payload={"source": source.uuid})
