"""libvirt's part of a migration: a VM's memory goes to another libvirtd while it runs, and stands still there.

The two libvirtds do it between themselves (peer to peer), so it goes on when hostd dies, and everything passes through
the one connection between them (tunnelled), which is encrypted when its URL says TLS. The copy is left paused: which
of the two may run is not libvirt's to decide, because after a broken connection it may let both.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar
from urllib.parse import urlsplit

import libvirt

from core.errors import DosvmError, EngineError, HypervisorUnavailable
from core.i18n import N_
from hostd import intervals
from hostd.hypervisor.connection import Connection
from hostd.hypervisor.domains import Domains
from hostd.hypervisor.errors import translate

_FLAGS = (
    libvirt.VIR_MIGRATE_LIVE
    | libvirt.VIR_MIGRATE_PEER2PEER
    | libvirt.VIR_MIGRATE_TUNNELLED
    | libvirt.VIR_MIGRATE_PAUSED
    | libvirt.VIR_MIGRATE_ABORT_ON_ERROR
    | libvirt.VIR_MIGRATE_AUTO_CONVERGE
)
#: Why a VM stands still when its migration left it so; after a restart of libvirtd nobody knows why any more.
_LEFT_PAUSED = (
    libvirt.VIR_DOMAIN_PAUSED_MIGRATION,
    libvirt.VIR_DOMAIN_PAUSED_UNKNOWN,
    libvirt.VIR_DOMAIN_PAUSED_STARTING_UP,
)


class Severed(EngineError):
    """The connection between the two libvirtds broke while a VM was migrated; this host's own is well."""

    code = "migration-severed"


class Mover:
    """Migrates domains of this host's libvirtd."""

    def __init__(self, connection: Connection, *, namespace: str, speed: int = 0) -> None:
        """Prepare.

        Args:
            connection: to this host's libvirtd.
            namespace: of our metadata element, which has an attribute ``epoch``.
            speed: MiB per second that one migration may send at most; 0 for no limit.
        """
        self._connection = connection
        self._namespace = namespace
        self._speed = speed

    @contextmanager
    def target(self, url: str) -> Iterator[Domains]:
        """The domains of another host's libvirtd.

        Raises:
            HypervisorUnavailable: it does not answer.
        """
        if not url:
            # Its hostd has not seen its libvirtd listen; an empty URL would be this host's own.
            raise HypervisorUnavailable("it does not listen")
        connection = Connection(url, name="libvirt-target", size=1)
        connection.start()
        try:
            if not connection.wait(intervals.MIGRATION_REACH):
                raise HypervisorUnavailable(connection.reason)
            yield Domains(connection, namespace=self._namespace)
        finally:
            connection.close()

    def move(self, uuid: str, url: str, epoch: int) -> None:
        """Migrate a domain; the copy is of placement ``epoch`` and paused. Returns when nothing of it is here any more.

        Raises:
            Severed: the other libvirtd is not reached any more.
            DosvmError: it failed or was aborted; in any case what is where must be looked at.
        """

        def move(connection: libvirt.virConnect) -> None:
            domain = connection.lookupByUUIDString(uuid)
            xml = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE | libvirt.VIR_DOMAIN_XML_MIGRATABLE)
            there, count = re.subn(
                rf"(xmlns(?::\w+)?=[\"']{re.escape(self._namespace)}[\"'][^>]*?\bepoch=[\"'])\d+", rf"\g<1>{epoch}", xml
            )
            if count != 1:
                raise EngineError(N_("The VM's description does not say which placement it is of."))
            parameters: dict[str, str | int] = {libvirt.VIR_MIGRATE_PARAM_DEST_XML: there}
            if self._speed:
                parameters[libvirt.VIR_MIGRATE_PARAM_BANDWIDTH] = self._speed
            try:
                domain.migrateToURI3(url, parameters, _FLAGS)
            except libvirt.libvirtError as error:
                raise _blamed(translate(error), connection) from error

        # Not held against the VM's key: what aborts it must come through.
        self._connection.call(move, limit=intervals.MIGRATION + intervals.LIBVIRT_LONG)

    def progress(self, uuid: str) -> int | None:
        """How far the migration of a domain is, in percent of its memory; None when none is under way.

        Raises:
            Missing: it does not run here.
        """

        def look(connection: libvirt.virConnect) -> int | None:
            stats = connection.lookupByUUIDString(uuid).jobStats()
            if stats.get("operation") != libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT or not stats.get("type"):
                return None
            total, left = stats.get("memory_total", 0), stats.get("memory_remaining", 0)
            return max(0, min(99, 100 * (total - left) // total)) if total else 0

        return self._connection.call(look, limit=intervals.LIBVIRT_NORMAL)

    def abort(self, uuid: str) -> None:
        """End a migration that is under way; the VM goes on where it is.

        Raises:
            DosvmError: none is, or it cannot be ended now.
        """
        self._connection.call(
            lambda connection: connection.lookupByUUIDString(uuid).abortJob(), limit=intervals.LIBVIRT_NORMAL
        )

    def go_on(self, uuid: str) -> None:
        """Let a VM run again that its migration left paused here; one that stands still for another reason does so on.

        Raises:
            Missing: it does not run here.
        """

        def go_on(connection: libvirt.virConnect) -> None:
            domain = connection.lookupByUUIDString(uuid)
            state, reason = domain.state()
            if state == libvirt.VIR_DOMAIN_PAUSED and reason in _LEFT_PAUSED:
                domain.resume()

        self._connection.call(go_on, limit=intervals.LIBVIRT_NORMAL, key=uuid)


def _blamed(error: DosvmError, connection: libvirt.virConnect) -> DosvmError:
    """What failed, said of the right libvirtd: that of this host is asked on as long as it answers."""
    if isinstance(error, HypervisorUnavailable) and connection.isAlive():
        return Severed(
            N_("The connection to libvirtd of the other host broke: {reason}."), reason=error.parameters["reason"]
        )
    return error


class Reception:
    """Whether this host's libvirtd takes VMs from other hosts, and where."""

    #: Ports of libvirtd by the transport of its URL (https://libvirt.org/remote.html).
    PORTS: ClassVar[Mapping[str, int]] = {"tls": 16514, "tcp": 16509}

    def __init__(self, template: str, address: str) -> None:
        """``template`` is libvirtd's URL as other hosts use it, ``{address}`` in it this host's; none without one."""
        self._url = template.replace("{address}", f"[{address}]" if ":" in address else address) if address else ""
        self._looked_at = float("-inf")
        self._found = ""

    def url(self) -> str:
        """Its URL, empty when nobody listens there; looked at now and then, and answered at once."""
        if self._url and time.monotonic() - self._looked_at > intervals.RECEPTION:
            self._looked_at = time.monotonic()
            self._found = self._url if self._listens() else ""
        return self._found

    def _listens(self) -> bool:
        parts = urlsplit(self._url)
        port = parts.port or self.PORTS.get(parts.scheme.partition("+")[2], 0)
        try:
            # This very machine: it is there or it is not, nothing waits.
            socket.create_connection((parts.hostname or "", port), timeout=0.2).close()
        except (OSError, OverflowError):
            return False
        return True
