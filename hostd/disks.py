"""The files behind a VM's disks, made ready before it starts and tidied up after it stopped."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from core.errors import DosvmError, Refused
from core.i18n import N_
from core.specs.order import DiskOrder, MachineOrder
from hostd import qemu_img
from hostd.access import let_pass


class Disks:
    """Looks at files again right before they are used, and keeps the overlays of images that are not written to."""

    def __init__(self, temporary: Path, state: Path) -> None:
        """``temporary`` is where overlays are kept while their VMs run; ``state`` is hostd's own directory."""
        self._temporary = temporary
        self._record = state / "access.log"

    def prepare(self, order: MachineOrder) -> tuple[MachineOrder, dict[int, str]]:
        """The order with its files' true paths, and the overlays made for it by the index of their disk."""
        ready, overlays = [], {}
        filled = [(index, disk) for index, disk in enumerate(order.spec.disks) if disk.volume or disk.image]
        for (index, spec), disk in zip(filled, order.disks, strict=True):
            path = self._file(disk, optional=spec.startup_policy == "optional" and spec.device == "cdrom")
            # A file that is not there has no path: what is put in its place later was looked at by nobody.
            ready.append(dataclasses.replace(disk, path=str(path) if path is not None else ""))
            if disk.overlay and path is not None:
                overlays[index] = str(self._make_overlay(order.uuid, index, path, disk.format))
        return dataclasses.replace(order, disks=tuple(ready)), overlays

    def _file(self, disk: DiskOrder, *, optional: bool) -> Path | None:
        """The true path of a disk's file, safe to be used and within QEMU's reach; None when it may be missing."""
        if optional and not Path(disk.path).exists():
            return None
        try:
            path = qemu_img.resolve(Path(disk.root), str(Path(disk.path).relative_to(disk.root)))
        except (DosvmError, ValueError) as error:
            raise Refused(
                N_("The file of {kind} {name} is missing: {path}."),
                remedy=N_("Look whether its directory is mounted on this host."),
                kind=disk.kind,
                name=disk.name,
                path=disk.path,
            ) from error
        if disk.kind == "image":
            # Whoever may write to the group's directory may have changed it since it was registered.
            qemu_img.inspect(path, disk.format)
        let_pass(path.parent, self._record)
        return path

    def _make_overlay(self, uuid: str, index: int, path: Path, base_format: str) -> Path:
        self._temporary.mkdir(parents=True, exist_ok=True)
        let_pass(self._temporary, self._record)
        overlay = self._path(uuid, index)
        overlay.unlink(missing_ok=True)
        qemu_img.create_overlay(overlay, path, base_format)
        return overlay

    def _path(self, uuid: str, index: int) -> Path:
        return self._temporary / f"{uuid}-{index}.qcow2"

    def remove(self, uuid: str) -> None:
        """Remove the overlays of a machine that does not run."""
        for overlay in self._temporary.glob(f"{uuid}-*.qcow2"):
            overlay.unlink(missing_ok=True)
