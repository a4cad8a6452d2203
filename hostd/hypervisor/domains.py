"""Domains: looked at, made, and told what to do. A domain of ours carries our metadata, with its epoch.

They are transient in libvirt: when one ends, libvirt forgets it, and the database remains the only place
where a VM is defined.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple
from xml.etree import ElementTree

import libvirt

from core.errors import HypervisorUnavailable
from hostd import intervals
from hostd.hypervisor.connection import Connection
from hostd.hypervisor.errors import Missing, translate
from hostd.hypervisor.starts import Starts

#: libvirt's states in our words (core.model.State).
_STATES = {
    libvirt.VIR_DOMAIN_NOSTATE: "unknown",
    libvirt.VIR_DOMAIN_RUNNING: "running",
    libvirt.VIR_DOMAIN_BLOCKED: "running",
    libvirt.VIR_DOMAIN_PAUSED: "paused",
    libvirt.VIR_DOMAIN_SHUTDOWN: "stopping",
    libvirt.VIR_DOMAIN_SHUTOFF: "off",
    libvirt.VIR_DOMAIN_CRASHED: "failed",
    libvirt.VIR_DOMAIN_PMSUSPENDED: "paused",
}


class Domain(NamedTuple):
    """A domain that exists now. ``number`` is libvirt's id of this run; ``epoch`` is None when it is not ours.

    ``refused``: it stands still because storage refused what its guest wrote or read.
    """

    uuid: str
    name: str
    number: int
    state: str
    epoch: int | None
    refused: bool = False


class FailedDisk(NamedTuple):
    """A disk that storage refuses: its name in the guest, what is behind it, and whether there was no room for it."""

    target: str
    path: str
    full: bool


@dataclass(frozen=True)
class Description:
    """Where a running domain is to be reached, and how it runs. Ports are None when there is no such screen."""

    vnc_port: int | None
    spice_port: int | None
    address: str
    accelerator: str
    vcpus: int
    taps: tuple[str, ...]
    """The host's ends of its network interfaces."""


@dataclass(frozen=True)
class MonitorStats:
    """What only QEMU's monitor knows; None where the guest or its driver does not say. Bytes."""

    guest_memory: int | None
    disk_allocation: int | None


class Domains:
    """The domains of this host's libvirtd."""

    def __init__(self, connection: Connection, *, namespace: str, starts: Starts | None = None) -> None:
        """Prepare.

        Args:
            connection: to its libvirtd.
            namespace: the XML namespace of our metadata element, which has an attribute ``epoch``.
            starts: keeps those that libvirtd has not answered; needed to start domains.
        """
        self._connection = connection
        self._namespace = namespace
        self._starts = starts
        self._guard = threading.Lock()
        self._epochs: dict[tuple[str, int], int | None] = {}

    def all(self) -> list[Domain]:
        """All domains that run (or are paused), ours and others'."""
        found = self._connection.call(self._look, limit=intervals.LIBVIRT_NORMAL)
        with self._guard:
            # Metadata belongs to one run: forget those of runs that ended.
            alive = {(d.uuid, d.number) for d in found}
            self._epochs = {run: epoch for run, epoch in self._epochs.items() if run in alive}
        return found

    def _look(self, connection: libvirt.virConnect) -> list[Domain]:
        # One request for all; the state group needs no monitor, so no VM can make it wait.
        records = connection.getAllDomainStats(
            libvirt.VIR_DOMAIN_STATS_STATE,
            libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT,
        )
        result = []
        for domain, values in records:
            try:
                result.append(self._plain(domain, values["state.state"], values.get("state.reason", 0)))
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                    raise
        return result

    def find(self, uuid: str) -> Domain | None:
        """One domain when it runs, None when it does not."""

        def look(connection: libvirt.virConnect) -> Domain | None:
            domain = connection.lookupByUUIDString(uuid)
            state, reason = domain.state()
            return None if state == libvirt.VIR_DOMAIN_SHUTOFF else self._plain(domain, state, reason)

        try:
            return self._connection.call(look, limit=intervals.LIBVIRT_FAST)
        except Missing:
            return None

    def _plain(self, domain: libvirt.virDomain, state: int, reason: int) -> Domain:
        uuid, number = domain.UUIDString(), domain.ID()
        run = (uuid, number)
        with self._guard:
            known = run in self._epochs
            epoch = self._epochs.get(run)
        if not known:
            epoch = self._epoch(domain)
            with self._guard:
                self._epochs[run] = epoch
        if self._starts is not None and epoch is not None and self._starts.open(uuid) == epoch:
            self._starts.answered(uuid)  # it has come up
        refused = (state, reason) == (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR)
        return Domain(uuid, domain.name(), number, _STATES.get(state, "unknown"), epoch, refused)

    def _epoch(self, domain: libvirt.virDomain) -> int | None:
        try:
            text = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, self._namespace)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_METADATA:
                return None
            raise
        match = re.search(r"\bepoch=[\"'](\d+)[\"']", text)
        return int(match[1]) if match else None

    def describe(self, uuid: str) -> Description:
        """What libvirt made of a running domain.

        Raises:
            Missing: it does not run.
        """
        # Asking for the description of a domain does not need its monitor.
        text = self._connection.call(
            lambda connection: connection.lookupByUUIDString(uuid).XMLDesc(), limit=intervals.LIBVIRT_FAST
        )
        root = ElementTree.fromstring(text)
        ports: dict[str, int] = {}
        address = ""
        for graphics in root.findall("./devices/graphics"):
            port = int(graphics.get("port") or -1)
            if port > 0:
                ports[graphics.get("type", "")] = port
                address = address or graphics.get("listen", "")
        accelerator = "kvm" if root.get("type") == "kvm" else "tcg"
        vcpus = root.find("./vcpu")
        taps = (target.get("dev", "") for target in root.findall("./devices/interface/target"))
        return Description(
            vnc_port=ports.get("vnc"),
            spice_port=ports.get("spice"),
            address=address,
            accelerator=accelerator,
            vcpus=int((vcpus.get("current") or vcpus.text or 1) if vcpus is not None else 1),
            taps=tuple(tap for tap in taps if tap),
        )

    def failed_disks(self, uuid: str) -> list[FailedDisk]:
        """The disks of a domain that storage refuses, by what QEMU's monitor says.

        Raises:
            Missing: it does not run.
            Stuck, TooSlow: its monitor does not answer.
        """

        def ask(connection: libvirt.virConnect) -> list[FailedDisk]:
            domain = connection.lookupByUUIDString(uuid)
            errors = domain.diskErrors()
            found = []
            for disk in ElementTree.fromstring(domain.XMLDesc()).findall("./devices/disk"):
                target, source = disk.find("target"), disk.find("source")
                name = target.get("dev", "") if target is not None else ""
                if name in errors and source is not None:
                    path = source.get("file") or source.get("dev") or ""
                    found.append(FailedDisk(name, path, errors[name] == libvirt.VIR_DOMAIN_DISK_ERROR_NO_SPACE))
            return found

        return self._connection.call(ask, limit=intervals.LIBVIRT_FAST, key=uuid)

    def create(self, xml: str, uuid: str, epoch: int) -> Domain:
        """Start a transient domain from its description, which is that of a placement.

        Raises:
            HypervisorUnavailable, Stuck, TooSlow: it may come up later; see :meth:`unanswered`.
            EngineError: libvirt refused it, or QEMU ended.
        """
        starts = self._starts
        assert starts is not None

        def start(connection: libvirt.virConnect) -> Domain:
            earlier = starts.begin(uuid, epoch)
            try:
                domain = connection.createXML(xml, 0)
            except libvirt.libvirtError as error:
                # That there is one already may speak of an earlier start which is just being done.
                if not earlier and not isinstance(translate(error), HypervisorUnavailable):
                    starts.answered(uuid)
                raise
            # Also when nobody waits for it any more.
            starts.answered(uuid)
            return self._plain(domain, *domain.state())

        return self._connection.call(start, limit=intervals.LIBVIRT_LONG, key=uuid)

    def unanswered(self, uuid: str) -> bool:
        """Whether a VM may yet come up here: libvirtd has not answered its start."""
        return self._starts is not None and self._starts.open(uuid) is not None

    def certain(self, uuid: str, wait: Callable[[float], object] = time.sleep) -> bool:
        """Whether it is certain that no earlier start brings up a VM here that does not run; asks libvirtd if need be.

        What was asked of a libvirtd that was stopped is read when it goes on, at the same moment as what is asked then.
        So it must know nothing of the VM twice, some seconds apart.

        Args:
            uuid: the VM.
            wait: waits for so many seconds.

        Raises:
            DosvmError: libvirtd does not answer.
        """
        if self._starts is None or not self.unanswered(uuid):
            return True
        if self._connection.is_stuck(uuid) or self._knows(uuid):
            return False
        wait(intervals.START_SURE)
        if self._connection.is_stuck(uuid) or self._knows(uuid):
            return False
        self._starts.answered(uuid)
        return True

    def _knows(self, uuid: str) -> bool:
        """Whether libvirt has a domain, also one that does not run yet or any more."""
        try:
            self._connection.call(
                lambda connection: connection.lookupByUUIDString(uuid).ID(), limit=intervals.LIBVIRT_FAST
            )
        except Missing:
            return False
        return True

    def _tell(self, uuid: str, verb: str, flags: int | None, limit: float) -> None:
        def tell(connection: libvirt.virConnect) -> None:
            method = getattr(connection.lookupByUUIDString(uuid), verb)
            if flags is None:
                method()
            else:
                method(flags)

        self._connection.call(tell, limit=limit, key=uuid)

    def shutdown(self, uuid: str) -> None:
        """Ask the guest to switch itself off (ACPI power button)."""
        self._tell(uuid, "shutdownFlags", libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN, intervals.LIBVIRT_NORMAL)

    def destroy(self, uuid: str) -> None:
        """Switch it off at once. Works for a VM whose QEMU hangs, too; then it takes libvirt 15 seconds."""

        def destroy(connection: libvirt.virConnect) -> None:
            connection.lookupByUUIDString(uuid).destroyFlags(0)

        # Not held against the VM's key: destroying is the way out when earlier calls for it are stuck.
        self._connection.call(destroy, limit=intervals.LIBVIRT_LONG)

    def reboot(self, uuid: str) -> None:
        """Ask the guest to restart itself."""
        self._tell(uuid, "reboot", libvirt.VIR_DOMAIN_REBOOT_DEFAULT, intervals.LIBVIRT_NORMAL)

    def reset(self, uuid: str) -> None:
        """Press the reset button."""
        self._tell(uuid, "reset", 0, intervals.LIBVIRT_NORMAL)

    def suspend(self, uuid: str) -> None:
        """Stop its processors; its memory stays."""
        self._tell(uuid, "suspend", None, intervals.LIBVIRT_NORMAL)

    def resume(self, uuid: str) -> None:
        """Let its processors run again."""
        self._tell(uuid, "resume", None, intervals.LIBVIRT_NORMAL)

    def monitor_stats(self, uuid: str, *, limit: float) -> MonitorStats:
        """Ask QEMU's monitor about memory and disks. It is the one look that can hang on a VM.

        Raises:
            Stuck, TooSlow: it does.
        """

        def ask(connection: libvirt.virConnect) -> MonitorStats:
            domain = connection.lookupByUUIDString(uuid)
            records = connection.domainListGetStats(
                [domain],
                libvirt.VIR_DOMAIN_STATS_BALLOON | libvirt.VIR_DOMAIN_STATS_BLOCK,
                libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT,
            )
            values = records[0][1] if records else {}
            unused, available = values.get("balloon.unused"), values.get("balloon.available")
            disks = [values.get(f"block.{i}.allocation") for i in range(values.get("block.count", 0))]
            sizes = [size for size in disks if size is not None]
            return MonitorStats(
                guest_memory=(available - unused) * 1024 if unused is not None and available is not None else None,
                disk_allocation=sum(sizes) if sizes else None,
            )

        return self._connection.call(ask, limit=limit, key=uuid)
