"""The migration of a VM as the two hosts see it: where it stands, and its handing over, once."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.orm import Session, aliased

from core.model import Host, Machine, Power


@dataclass(frozen=True)
class Standing:
    """A VM that is being migrated, as the database has it; ``url`` is where libvirtd of its target is reached."""

    name: str
    project_id: int
    host_id: int | None
    epoch: int
    on: bool
    moving_id: int | None
    target: str
    url: str


def standing(session: Session, uuid: str, target_id: int) -> Standing | None:
    """How a VM stands, None when it was deleted; ``target_id`` is the host that it was to go to."""
    target = aliased(Host)
    row = session.execute(
        select(
            Machine.name,
            Machine.project_id,
            Machine.host_id,
            Machine.epoch,
            Machine.power,
            Machine.moving_id,
            target.name.label("target"),
            target.migration_url,
        )
        .outerjoin(target, target.id == target_id)
        .where(Machine.uuid == uuid)
    ).one_or_none()
    if row is None:
        return None
    return Standing(
        row.name,
        row.project_id,
        row.host_id,
        row.epoch,
        row.power == Power.ON.value,
        row.moving_id,
        row.target or "",
        row.migration_url or "",
    )


def hand_over(session: Session, uuid: str, source_id: int, epoch: int, target_id: int) -> bool:
    """Place a VM on the host that has its memory now, under the next epoch; whether it still was this host's to give.

    One compare-and-swap. Whether it is to be off meanwhile does not matter: the host that has it sees to that.
    """
    done = session.execute(
        update(Machine)
        .where(Machine.uuid == uuid, Machine.host_id == source_id, Machine.epoch == epoch)
        .values(host_id=target_id, epoch=epoch + 1, moving_id=None)
        .execution_options(synchronize_session=False)
    )
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def give_up(session: Session, uuid: str, source_id: int, epoch: int, *, lost: bool = False) -> bool:
    """Say that a VM stays where it is; whether it still was this host's.

    Args:
        session: a write transaction.
        uuid: the VM.
        source_id: the host on which it is.
        epoch: its placement.
        lost: its memory is on a host that does not answer; what is there may not run any more, whatever comes.
    """
    done = session.execute(
        update(Machine)
        .where(Machine.uuid == uuid, Machine.host_id == source_id, Machine.epoch == epoch)
        .values(moving_id=None, epoch=epoch + 2 if lost else epoch)
        .execution_options(synchronize_session=False)
    )
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]
