"""Why a VM stands still that nobody suspended: storage refused what its guest wrote or read.

Disks have the error policy ``stop``: QEMU keeps what was refused, and asks the storage again when the VM is resumed.
The guest hears of nothing, and loses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from core.errors import DosvmError, EngineError
from core.i18n import N_
from core.specs.order import MachineOrder
from hostd.hypervisor.domains import Domain, Domains, FailedDisk


class StorageRefused(EngineError):
    """The storage of a VM that stands still does not answer, or fails: it goes on when that is over."""

    code = "storage-refused"


def goes_on(error: str) -> bool:
    """Whether a VM is to be resumed without anybody asking for it, by what :func:`halt_error` said of it.

    Not where there was no room: it would take what somebody has just made, before he has made enough.
    """
    return bool(error) and json.loads(error).get("code") == StorageRefused.code


def halt_error(domain: Domain, domains: Domains, order: Callable[[], MachineOrder | None]) -> str:
    """What to write of a VM: why storage made it stand still, an error's wire form as JSON; empty when it did not.

    Args:
        domain: the VM.
        domains: asks QEMU which disks it are.
        order: reads the VM's order, for the names of its volumes.
    """
    if not domain.refused:
        return ""
    try:
        failed = domains.failed_disks(domain.uuid)
    except DosvmError:
        failed = []  # its monitor does not answer: that it stands still is said all the same
    try:
        known = order()
    except DosvmError:
        known = None
    return json.dumps(_error(failed, known).to_wire(), ensure_ascii=False, default=str)


def _error(failed: Sequence[FailedDisk], order: MachineOrder | None) -> EngineError:
    names = {disk.path: disk.name for disk in order.disks} if order is not None else {}
    disks = ", ".join(f"{disk.target} ({names.get(disk.path, disk.path)})" for disk in failed) or "?"
    if any(disk.full for disk in failed):
        return EngineError(
            N_("There is no room for what the guest writes to {disks}: the VM stands still, and loses nothing."),
            remedy=N_("Make room on the file system of the storage pool, then resume the VM."),
            disks=disks,
        )
    return StorageRefused(
        N_("The storage refuses what the guest reads or writes on {disks}: the VM stands still, and loses nothing."),
        remedy=N_("Look at the storage pool: once it is active, the VM is resumed within minutes, or when you do it."),
        disks=disks,
    )
