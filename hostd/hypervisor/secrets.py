"""Security objects as libvirt's secrets: there while something needs them, and no longer.

They are ephemeral (libvirtd keeps them in memory only) and private (nobody is told their values, not even root's
virsh). A value reaches libvirtd over its socket; to QEMU libvirt hands it encrypted with a key of that one run.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from xml.etree import ElementTree

import libvirt

from core.errors import DosvmError, Refused
from core.i18n import N_
from core.security.sealed import SealedSecret
from core.security.vault import Vault
from hostd import intervals
from hostd.hypervisor.connection import Connection
from hostd.hypervisor.errors import MissingSecret
from hostd.log import Throttled, fields

logger = logging.getLogger("hostd.secrets")

#: What the usage of ours begins with in libvirt; people's own secrets are left alone.
_OURS = "dosvm/"
#: QEMU's words for a passphrase that opens nothing.
_WRONG = "cannot unlock any keyslot"


def is_wrong(error: DosvmError) -> bool:
    """Whether what failed is that a passphrase opens nothing."""
    return _WRONG in str(error.parameters.get("reason", ""))


def explain(error: DosvmError, encrypted: Sequence[tuple[str, SealedSecret]]) -> None:
    """Say it in plain words when what failed is that encrypted volumes do not open; nothing otherwise.

    Args:
        error: of libvirt or qemu-img.
        encrypted: each encrypted volume, as people know it, with its secret.

    Raises:
        Refused: a secret has another value than when its volume was made.
    """
    if not encrypted or not is_wrong(error):
        return
    raise Refused(
        N_("An encrypted volume does not open with the value of its secret: {volumes}."),
        remedy=N_(
            "Give the secret the value again that it had when the volume was made (`dosvm secret edit --even-if-used`)."
        ),
        volumes="; ".join(f"{volume} ({secret.name})" for volume, secret in encrypted),
    ) from error


class Secrets:
    """Lends security objects to this host's libvirtd."""

    def __init__(self, connection: Connection, vault: Vault) -> None:
        """``vault`` opens the values."""
        self._connection = connection
        self._vault = vault
        self._guard = threading.Lock()
        self._lent: Counter[str] = Counter()
        self._sweep = threading.Event()
        self._closing = threading.Event()
        self._throttled = Throttled(logger)
        self._thread = threading.Thread(target=self._run, name="secrets", daemon=True)
        # What an earlier hostd left behind, and what could not be taken back while libvirtd was away.
        connection.on_change(lambda up: self._sweep.set() if up else None)

    def start(self) -> None:
        """Begin to look for what was left behind."""
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._closing.set()
        self._sweep.set()
        self._thread.join(2.0)

    def open(self, secret: SealedSecret) -> str:
        """A value, for what does not go through libvirt.

        Raises:
            Refused: it cannot be opened with this cluster key.
        """
        return secret.open(self._vault)

    @contextmanager
    def lent(self, *secrets: SealedSecret | None) -> Iterator[None]:
        """Let libvirt know secrets, each under its own UUID, until the block ends, however it ends.

        Raises:
            Refused: a value cannot be opened with this cluster key.
            DosvmError: libvirt does not take one.
        """
        wanted = {secret.uuid: secret for secret in secrets if secret is not None}
        values = {uuid: self.open(secret) for uuid, secret in wanted.items()}
        taken: list[str] = []
        try:
            for uuid, secret in wanted.items():
                with self._guard:
                    self._lent[uuid] += 1
                    taken.append(uuid)
                    # Also when it is lent already: libvirtd forgets them when it is restarted.
                    self._define(secret, values[uuid])
            yield
        finally:
            values.clear()
            for uuid in taken:
                self._take_back(uuid)

    def _define(self, secret: SealedSecret, value: str) -> None:
        xml = _xml(secret)

        def work(connection: libvirt.virConnect) -> None:
            connection.secretDefineXML(xml, 0).setValue(value.encode(), 0)

        self._connection.call(work, limit=intervals.LIBVIRT_FAST)

    def _take_back(self, uuid: str) -> None:
        with self._guard:
            self._lent[uuid] -= 1
            if self._lent[uuid] > 0:
                return
            del self._lent[uuid]
            try:
                self._undefine(uuid)
            except DosvmError as error:
                logger.warning("a secret stays in libvirt for now %s", fields(secret=uuid, reason=error.text()))
                self._sweep.set()

    def _undefine(self, uuid: str) -> None:
        try:
            self._connection.call(
                lambda connection: connection.secretLookupByUUIDString(uuid).undefine(), limit=intervals.LIBVIRT_FAST
            )
        except MissingSecret:
            return

    def _run(self) -> None:
        while True:
            self._sweep.wait()
            if self._closing.is_set():
                return
            self._sweep.clear()
            try:
                self.sweep()
                self._throttled.clear("sweep")
            except DosvmError as error:
                if not self._connection.up:
                    continue  # it will be up again, and then everything is looked at
                self._throttled.warning("sweep", "cannot look for secrets left behind", reason=error.text())
                self._closing.wait(intervals.RECONNECT_MAX)
                self._sweep.set()

    def sweep(self) -> None:
        """Take back what is ours in libvirt and lent to nobody.

        Raises:
            DosvmError: libvirt cannot be asked.
        """

        def look(connection: libvirt.virConnect) -> list[str]:
            return [s.UUIDString() for s in connection.listAllSecrets(0) if s.usageID().startswith(_OURS)]

        for uuid in self._connection.call(look, limit=intervals.LIBVIRT_FAST):
            with self._guard:
                if not self._lent[uuid]:
                    self._undefine(uuid)
                    logger.info("took back a secret that was left in libvirt %s", fields(secret=uuid))


def _xml(secret: SealedSecret) -> str:
    # Of volumes alone: a password for a server of storage is given to the server's own program, not to libvirt.
    root = ElementTree.Element("secret", ephemeral="yes", private="yes")
    ElementTree.SubElement(root, "uuid").text = secret.uuid
    usage = ElementTree.SubElement(root, "usage", type="volume")
    ElementTree.SubElement(usage, "volume").text = _OURS + secret.uuid
    return ElementTree.tostring(root, encoding="unicode")
