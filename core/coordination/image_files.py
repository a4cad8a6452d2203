"""The files of images as the hosts see them that watch over them: there, gone, or back.

A project group's directory may be one that hosts share or one that each has for itself, and nobody says which. So one
host watches over each file: the one that it was uploaded to, or the first that sees it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import Session

from core.model import Host, Image, ProjectGroup

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


def move(session: Session, image: Watched, after: str) -> bool:
    """Give an image another state, if it still has the one and the file that were looked at; whether it had."""
    done = session.execute(
        update(Image)
        .where(Image.id == image.id, Image.state == image.state, Image.file == image.file)
        .values(state=after, version=Image.version + 1)
        .execution_options(synchronize_session=False)
    )
    return bool(done.rowcount)  # type: ignore[attr-defined]
