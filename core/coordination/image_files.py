"""The files of images as the hosts see them that watch over them: there, gone, or back.

A project group's directory may be one that hosts share or one that each has for itself, and nobody says which. So one
host watches over each file: the one that it was uploaded to, or the first that sees it.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session

from core.model import Host, Image, ProjectGroup, Task

PRESENT, MISSING = "present", "missing"


@dataclass(frozen=True)
class Watched:
    """The file of an image: ``file`` below ``root``; ``size`` is bytes. ``host`` watches over it, or is gone."""

    id: int
    uuid: str
    name: str
    root: str
    file: str
    format: str
    size: int
    state: str
    host: str


@dataclass(frozen=True)
class Unsummed:
    """An uploaded file whose SHA-256 is still to be taken, and what it looked like when it came.

    ``stamp`` is number, bytes, time of change (ns); None where that is not known any more.
    """

    id: int
    name: str
    root: str
    file: str
    size: int
    stamp: tuple[int, int, int] | None


def watched(session: Session, host: str) -> list[Watched]:
    """What a host (its UUID) watches over, and what no host does that there still is; one statement."""
    rows = session.execute(
        select(Image, ProjectGroup.directory)
        .join(ProjectGroup, ProjectGroup.id == Image.group_id)
        .where(Image.state.in_((PRESENT, MISSING)), or_(Image.host == host, _nobodys()))
        .order_by(Image.id)
    )
    return [
        Watched(
            id=image.id,
            uuid=image.uuid,
            name=image.name,
            root=directory,
            file=image.file,
            format=image.format,
            size=image.size,
            state=image.state,
            host=image.host,
        )
        for image, directory in rows
    ]


def _nobodys() -> ColumnElement[bool]:
    return Image.host.not_in(select(Host.uuid))


def take(session: Session, ids: Collection[int], host: str) -> None:
    """From now on a host watches over some images, but for those that another has taken."""
    if ids:
        session.execute(
            update(Image)
            .where(Image.id.in_(ids), _nobodys())
            .values(host=host)
            .execution_options(synchronize_session=False)
        )


def record_received(session: Session, uuid: str, received: int, host: str = "") -> bool:
    """Write how many bytes of an upload are there, as long as it is one and goes to ``host``, if that is given."""
    mine = [Image.uuid == uuid, Image.state == "uploading", Image.received != received]
    if host:
        mine.append(Image.host == host)
    done = session.execute(
        update(Image).where(*mine).values(received=received).execution_options(synchronize_session=False)
    )
    return bool(done.rowcount)  # type: ignore[attr-defined]


def unsummed(session: Session, host: str) -> list[Unsummed]:
    """What was uploaded to a host (its UUID) and is still to be summed there; one statement."""
    rows = session.execute(
        select(Image, ProjectGroup.directory, Task.payload)
        .join(ProjectGroup, ProjectGroup.id == Image.group_id)
        .outerjoin(Task, and_(Task.target == Image.uuid, Task.kind == "image.receive"))
        .where(Image.state == PRESENT, Image.host == host, Image.digest == "", Image.received > 0)
        .order_by(Image.id, Task.id)
    )
    # Of several tasks the last one is the one that took it.
    found = {image.id: (image, directory, payload) for image, directory, payload in rows}
    return [
        Unsummed(image.id, image.name, directory, image.file, image.size, _stamp(payload))
        for image, directory, payload in found.values()
    ]


def _stamp(payload: str | None) -> tuple[int, int, int] | None:
    came = json.loads(payload).get("as_it_came") if payload else None
    return (came[0], came[1], came[2]) if came else None


def record_digest(session: Session, image: Unsummed, digest: str) -> bool:
    """Write the SHA-256 of an uploaded file, or that none is taken any more (empty); whether it was still wanted."""
    done = session.execute(
        update(Image)
        .where(Image.id == image.id, Image.file == image.file, Image.digest == "", Image.received > 0)
        .values(digest=digest, received=0)
        .execution_options(synchronize_session=False)
    )
    return bool(done.rowcount)  # type: ignore[attr-defined]


def move(session: Session, image: Watched, after: str) -> bool:
    """Give an image another state, if it still has the one and the file that were looked at; whether it had."""
    done = session.execute(
        update(Image)
        .where(Image.id == image.id, Image.state == image.state, Image.file == image.file)
        .values(state=after, version=Image.version + 1)
        .execution_options(synchronize_session=False)
    )
    return bool(done.rowcount)  # type: ignore[attr-defined]
