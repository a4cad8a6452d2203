"""The files behind a VM's disks, made ready before it starts and tidied up after it stopped."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from core.errors import DosvmError, InvalidInput, Refused
from core.i18n import N_
from core.rpc.own_files import Identity, identity
from core.rules.pools import DIR, ISCSI
from core.specs.order import BackingFile, DiskOrder, MachineOrder
from core.specs.pool import PoolOrder
from hostd import beneath, blocks, devices, intervals, qemu_img, shared, volume_heads
from hostd.access import let_pass
from hostd.log import fields
from hostd.own_places import OwnFiles
from hostd.pools import Keeper
from hostd.volume_files import explained

logger = logging.getLogger("hostd.disks")

T = TypeVar("T")

#: Seconds for which what the kernel said of the units of a target counts as new.
_SAN_FRESH = 5.0


class _Promise(NamedTuple):
    """A device that a VM is about to be given; ``ended``: its start was given up, and may still come."""

    machine: str
    writes: bool
    ended: bool = False


class Disks:
    """Looks at files again right before they are used, and keeps the overlays of images that are not written to."""

    def __init__(
        self,
        keeper: Keeper,
        temporary: Callable[[], Path],
        state: Path,
        hangs: Callable[[str], bool] = lambda _machine: False,
        written: Callable[[str], None] = lambda _pool: None,
    ) -> None:
        """Prepare.

        Args:
            keeper: makes the pools of volumes ready.
            temporary: where new overlays are kept while their VMs run; raises DosvmError where that cannot be. It may
                change: those that are there stay.
            state: hostd's own directory; remembers every directory that may still hold overlays.
            hangs: whether a call to libvirt for a VM, by UUID, has been given up and has not come back yet.
            written: told a pool, by UUID, when a VM with a volume in it has ended.
        """
        self._keeper = keeper
        self._temporary = temporary
        self._record = state / "access.log"
        self._places_file = state / "overlay-directories"
        self._guard = threading.Lock()
        self._hangs = hangs
        self._written = written
        #: The overlays of VMs that were started, by the VM's UUID, each with what its directory was then.
        self._made: dict[str, dict[Path, Identity]] = {}
        #: The pools of VMs that were started, by the VM's UUID.
        self._pools_of: dict[str, set[str]] = {}
        #: Devices that VMs are about to be given: QEMU does not have them open yet.
        self._promised: dict[devices.Number, list[_Promise]] = {}
        #: When libvirt last looked what the units of a pool are, by its UUID.
        self._asked: dict[str, float] = {}

    def prepare(self, order: MachineOrder) -> tuple[MachineOrder, dict[int, str]]:
        """The order with its files' true paths, and the overlays made for it by the index of their disk."""
        pools = self._keeper.ready_all({disk.pool for disk in order.disks if disk.pool and not self._is_there(disk)})
        ready, overlays, units, own = [], {}, [], self._keeper.own.found()
        filled = [(index, disk) for index, disk in enumerate(order.spec.disks) if disk.volume or disk.image]
        for (index, spec), disk in zip(filled, order.disks, strict=True):
            if disk.is_block:
                units.append(self._unit(order.uuid, pools, disk, writes=not spec.read_only))
                ready.append(disk)
                continue
            optional = spec.startup_policy == "optional" and spec.device == "cdrom"
            writes = not (spec.read_only or spec.device == "cdrom" or disk.overlay)
            path = self._look(disk, own, optional=optional, writes=writes)
            # A file that is not there has no path: what is put in its place later was looked at by nobody.
            ready.append(
                dataclasses.replace(disk, path=str(path) if path is not None else "", backing=self._below(disk))
            )
            if disk.overlay and path is not None:
                overlays[index] = str(self._make_overlay(order.uuid, index, path, disk.format))
        self._look_at(units)
        self._pools_of[order.uuid] = {disk.pool for disk in order.disks if disk.pool}
        return dataclasses.replace(order, disks=tuple(ready)), overlays

    def reach(self, order: MachineOrder) -> None:
        """See that the pools of a VM's disks answer.

        Raises:
            DosvmError: one does not; says why.
        """
        self._keeper.ready_all({disk.pool for disk in order.disks if disk.pool})

    def look_again(self, order: MachineOrder) -> None:
        """Look at the block devices of a VM once more, right before it gets them.

        Raises:
            DosvmError: one is another device by now, or somebody uses it.
        """
        pools = self._keeper.ready_all({disk.pool for disk in order.disks if disk.is_block})
        specs = [spec for spec in order.spec.disks if spec.volume or spec.image]
        self._look_at(
            [
                self._unit(order.uuid, pools, disk, writes=not spec.read_only)
                for spec, disk in zip(specs, order.disks, strict=True)
                if disk.is_block
            ]
        )

    def _is_there(self, disk: DiskOrder) -> bool:
        """Whether a disk's pool is a directory of this host, and its own; others are made active when needed."""
        if disk.pool_kind != DIR:
            return False
        try:
            return self._keeper.touch(disk.pool, lambda: shared.is_marked(disk.root, disk.pool))
        except OSError:
            return False

    def _look_at(self, units: Sequence[blocks.Wanted]) -> None:
        """Look whether a guest may be given units that are promised to it.

        Raises:
            DosvmError: one is another device, or somebody uses it.
        """
        for unit in units:
            self._touch(unit.pool, lambda unit=unit: blocks.check(unit))  # type: ignore[misc]
        if units:
            # One pass over all programs; it touches no storage.
            blocks.refuse_open(units)

    def _unit(self, machine: str, pools: Mapping[str, PoolOrder], disk: DiskOrder, *, writes: bool) -> blocks.Wanted:
        """Find a block device, and promise it to a VM until :meth:`started`."""
        pool = pools.get(disk.pool)
        if pool is None:
            raise Refused(N_("The storage pool has been deleted."))

        def find() -> devices.Number | None:
            return self._touch(pool, lambda: devices.KERNEL.number(disk.path))

        self._ask(pool)
        number = find()
        if number is None:
            # It may have been made since the pool was made active here.
            self._keeper.look_again(pool)
            number = find()
        if number is None:
            raise Refused(
                N_("Volume {name} is not there: {path}."),
                remedy=N_("Look at the storage system, then refresh the storage pool."),
                name=disk.name,
                path=disk.path,
            )
        # Promised before it is looked at: whoever began earlier is seen by the promise, or by what QEMU has open.
        self._promise(machine, disk.name, number, writes=writes)
        return blocks.Wanted(pool, disk.name, disk.path, number, writes, disk.key)

    def _ask(self, pool: PoolOrder) -> None:
        """Have the kernel ask a target what its units are by now: it knows what they were when it logged in."""
        if pool.kind != ISCSI or time.monotonic() - self._asked.get(pool.uuid, -_SAN_FRESH) < _SAN_FRESH:
            return
        now = time.monotonic()
        self._keeper.look_again(pool)
        self._asked[pool.uuid] = now

    def _promise(self, machine: str, name: str, number: devices.Number, *, writes: bool) -> None:
        family = devices.KERNEL.family(number)
        with self._guard:
            for device, promises in self._promised.items():
                promises[:] = [one for one in promises if not (one.ended and not self._hangs(one.machine))]
                others = [one for one in promises if one.machine != machine and (writes or one.writes)]
                if others and device in family:
                    raise Refused(N_("Another VM is being started with volume {name}."), name=name)
            mine = [one for one in self._promised.get(number, ()) if one.machine != machine]
            self._promised[number] = [*mine, _Promise(machine, writes)]

    def _touch(self, pool: PoolOrder, work: Callable[[], T]) -> T:
        try:
            return self._keeper.touch(pool.uuid, work)
        except OSError as error:
            raise explained(error) from error

    def started(self, machine: str) -> None:
        """A VM's start has ended, well or not: what it uses is seen by the kernel from here on.

        But for a start that was given up while libvirt was at it: QEMU may still come, so its devices stay promised.
        """
        ended = self._hangs(machine)
        with self._guard:
            kept = {
                number: [
                    one._replace(ended=ended) if one.machine == machine else one
                    for one in promises
                    if one.machine != machine or ended
                ]
                for number, promises in self._promised.items()
            }
            self._promised = {number: promises for number, promises in kept.items() if promises}

    def _look(self, disk: DiskOrder, own: OwnFiles, *, optional: bool, writes: bool) -> Path | None:
        """As :meth:`_file`; no storage is waited for without end, be it a directory: anything may be mounted there."""
        limit = intervals.LIBVIRT_NORMAL if disk.kind == "image" else intervals.STORAGE  # qemu-img looks at those
        return self._keeper.touch(
            disk.pool or disk.root, lambda: self._file(disk, own, optional=optional, writes=writes), limit=limit
        )

    def _file(self, disk: DiskOrder, own: OwnFiles, *, optional: bool, writes: bool) -> Path | None:
        """The true path of a disk's file, safe to be used and within QEMU's reach; None when it may be missing."""
        if optional and not Path(disk.path).exists():
            return None
        path = self._true(disk.root, disk.path, disk.kind, disk.name)
        if disk.kind == "image":
            # To the beginning of a raw disk its guest has written what it likes, and may do so again.
            if not (writes and disk.format == "raw"):
                qemu_img.inspect(path, disk.format)
        else:
            self._look_through(disk, own)
        let_pass(path.parent, self._record)
        return path

    def _look_through(self, disk: DiskOrder, own: OwnFiles) -> None:
        """Look whether the files of a volume and of what it rests on are those that the database knows."""
        volume = BackingFile(disk.name, disk.path, disk.format, disk.secret, disk.uuid, disk.capacity)
        chain = (volume, *disk.backing)
        for file in chain:
            self._true(disk.root, file.path, disk.kind, file.name)
            own.refuse(Path(file.path), file.name)
        try:
            volume_heads.look_through(chain)
        except OSError as error:
            raise explained(error) from error

    def _below(self, disk: DiskOrder) -> tuple[BackingFile, ...]:
        """The files that a snapshot rests on, by their true paths."""

        def look() -> tuple[BackingFile, ...]:
            paths = [self._true(disk.root, file.path, disk.kind, file.name) for file in disk.backing]
            return tuple(dataclasses.replace(f, path=str(p)) for f, p in zip(disk.backing, paths, strict=True))

        return self._keeper.touch(disk.pool, look) if disk.backing else ()

    def _true(self, root: str, path: str, kind: str, name: str) -> Path:
        try:
            file = str(Path(path).relative_to(root))
            # Whoever may write to a group's directory may have changed it since the image was registered.
            found = beneath.look(Path(root), file) if kind == "image" else qemu_img.resolve(Path(root), file)
        except (InvalidInput, ValueError) as error:
            if isinstance(error, InvalidInput) and Path(path).exists():
                raise
            raise Refused(
                N_("The file of {kind} {name} is missing: {path}."),
                remedy=N_("Look whether its directory is mounted on this host."),
                kind=kind,
                name=name,
                path=path,
            ) from error
        _ask_anew(found)
        return found

    def _make_overlay(self, uuid: str, index: int, path: Path, base_format: str) -> Path:
        directory = self._temporary()
        directory.mkdir(parents=True, exist_ok=True)
        let_pass(directory, self._record)
        # Remembered before there is anything in it: hostd may die at any moment.
        self._remember(directory)
        overlay = directory / f"{uuid}-{index}.qcow2"
        overlay.unlink(missing_ok=True)
        self._made.setdefault(uuid, {})[overlay] = identity(directory.stat())
        qemu_img.create_overlay(overlay, path, base_format)
        return overlay

    def _places(self) -> list[Path]:
        """The directories that may hold overlays: the present one, and those of before."""
        try:
            known = [Path(line) for line in self._places_file.read_text(encoding="utf-8").splitlines() if line]
        except FileNotFoundError:
            known = []
        with contextlib.suppress(DosvmError):
            known = [self._temporary(), *known]
        return list(dict.fromkeys(known))

    def _remember(self, directory: Path) -> None:
        with self._guard:
            places = self._places()
            # Those of before are forgotten once nothing of ours is left in them.
            used = {overlay.parent for made in list(self._made.values()) for overlay in made}
            kept = [p for p in places if p == directory or p in used or any(p.glob("*.qcow2"))]
            text = "".join(f"{place}\n" for place in kept)
            if self._places_file.exists() and self._places_file.read_text(encoding="utf-8") == text:
                return
            self._places_file.parent.mkdir(parents=True, exist_ok=True)
            fresh = self._places_file.with_name(self._places_file.name + ".new")
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(self._places_file)

    def remove(self, uuid: str) -> None:
        """Remove the overlays of a machine that does not run."""
        for pool in self._pools_of.pop(uuid, ()):
            self._written(pool)
        for place in self._places():
            for overlay in place.glob(f"{uuid}-*.qcow2"):
                overlay.unlink(missing_ok=True)
        for overlay, directory in self._made.pop(uuid, {}).items():
            with contextlib.suppress(OSError):
                if identity(overlay.parent.stat()) != directory:
                    logger.warning(
                        "a temporary file stays beneath what was mounted over it, or with what was unmounted %s",
                        fields(vm=uuid, path=overlay),
                    )


def _ask_anew(path: Path) -> None:
    """Have storage asked what a file is like by now, before libvirt looks whether it belongs to QEMU's user.

    A client of NFS believes what it heard for up to a minute. libvirt gives a disk to QEMU's user unless it is his
    already, and back to root when its VM is stopped: the host where it starts next, which had heard of the first only,
    would leave it root's, and QEMU could not open it. Opening a file makes the client ask (close-to-open, nfs(5)).
    """
    with contextlib.suppress(OSError):  # libvirt will say it
        os.close(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC))
