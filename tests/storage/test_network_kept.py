"""A guest writes to NFS, CIFS and iSCSI while their servers are away: it waits or stands still, and loses nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.engine.hostd import until
from tests.storage.cloud import Cloud
from tests.storage.here import Here
from tests.storage.outage import BACK, TOLD, Writer, does_not_start, holds_up_nothing, is_told
from tests.storage.servers import (
    CHAP_PASSWORD,
    CIFS_PASSWORD,
    CIFS_PORT,
    CIFS_SHARE,
    ISCSI_PORT,
    NFS4_SOURCE,
    NFS_EXPORT,
    NFS_PORT,
    TARGET,
    CifsServer,
    IscsiServer,
    NfsServer,
    silent,
)

pytestmark = [pytest.mark.storage, pytest.mark.timeout(500)]

_REST = ["--server", "127.0.0.1", "--capacity", "1GiB", "--project", "web", "--wait"]


def add_pools(cloud: Cloud) -> tuple[str, str]:
    """Add the pools ``nas``, ``smb`` and ``san``; the two units of the last."""
    netfs = ["--type", "netfs", "--format"]
    cloud.dosvm("pool", "add", "nas", *netfs, "nfs", "--source", NFS4_SOURCE, "--path", "/media/nas", *_REST)
    cloud.add_secret("share", "cifs", CIFS_PASSWORD)
    words = ["--source", "disks", "--path", "/media/smb", "--account", "alice", "--secret", "share"]
    cloud.dosvm("pool", "add", "smb", *netfs, "cifs", *words, *_REST)
    cloud.add_secret("target", "iscsi", CHAP_PASSWORD)
    words = ["--source", TARGET, "--account", "alice", "--secret", "target"]
    cloud.dosvm("pool", "add", "san", "--type", "iscsi", *words, *_REST)
    for pool in ("nas", "smb"):
        cloud.volume("disk", pool)
        cloud.volume("other", pool)
    first, second = cloud.found("san")
    return f"san/{first}", f"san/{second}"


def stands_still_and_goes_on(cloud: Cloud, here: Here, writers: dict[str, Writer]) -> None:
    """A target that is away for longer than the kernel waits: the VM stands still, says why, and is resumed."""
    for limit in Path("/sys/class/iscsi_session").glob("*/recovery_tmo"):
        limit.write_text("3")
    with silent(here, ISCSI_PORT):
        until(lambda: cloud.vm("kept")["state"] == "halted", TOLD, cloud.log_tail())
        shown = cloud.dosvm("vm", "show", "kept", account="zhao").out
        assert "The storage refuses what the guest reads or writes on vdc (san/" in shown
        assert "I/O error" in cloud.dosvm("vm", "list", account="zhao").out
    until(lambda: cloud.vm("kept")["state"] == "running", BACK, f"it goes on by itself: {cloud.log_tail()}")
    for writer in writers.values():
        writer.goes_on()
    assert cloud.vm("kept")["halt_error"] == ""


def test_a_guest_that_writes_while_servers_are_away(
    cloud: Cloud, here: Here, nfs: NfsServer, cifs: CifsServer, iscsi: IscsiServer
) -> None:
    nfs.start()
    unit, other_unit = add_pools(cloud)
    behind = {"vda": NFS_EXPORT / "disk", "vdb": CIFS_SHARE / "disk", "vdc": iscsi.units[0]}
    pools = ("nas", "smb", "san")
    with cloud.boot("kept", "nas/disk", "smb/disk", unit) as console:
        writers = {disk: Writer(console, disk) for disk in behind}
        # What is written to them waits in the kernel: nothing is refused, and the guest knows of nothing.
        with silent(here, NFS_PORT, CIFS_PORT, ISCSI_PORT), ThreadPoolExecutor() as at_once:
            list(at_once.map(lambda pool: is_told(cloud, pool), pools))
            holds_up_nothing(cloud)
            for name, volume in (("off-cifs", "smb/other"), ("off-iscsi", other_unit)):
                does_not_start(cloud, name, volume)
            assert cloud.vm("kept")["state"] == "running"
        for pool in pools:
            # Nobody does anything about it.
            until(lambda pool=pool: cloud.pool(pool)["state"] == "active", BACK, f"{pool}: {cloud.log_tail()}")  # type: ignore[misc]
            assert cloud.pool(pool)["error"] == []
        for writer in writers.values():
            writer.goes_on()
        stands_still_and_goes_on(cloud, here, writers)
        cloud.volume("after", "smb")
        cloud.done("vm.stop", vm="kept", force=True)
        for disk, writer in writers.items():
            writer.check(behind[disk])
    for pool in ("nas", "smb"):
        cloud.remove(pool)
    cloud.forget("san")
    assert list(NFS_EXPORT.iterdir()) == list(CIFS_SHARE.iterdir()) == []
    nfs.stop()
