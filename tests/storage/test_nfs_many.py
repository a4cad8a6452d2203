"""A pool on NFS with many files, whose server is a millisecond away: what a refresh takes beside libvirt's own."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.storage.cloud import Cloud
from tests.storage.here import Here
from tests.storage.servers import NfsServer

pytestmark = [pytest.mark.storage, pytest.mark.timeout(400)]

_FILES = 2000
_MIB = 1 << 20


@contextmanager
def far_away(here: Here) -> Iterator[None]:
    """A server is a millisecond away, there and back."""
    here.run("modprobe", "sch_netem")
    here.run("tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "500us")
    try:
        yield
    finally:
        here.run("tc", "qdisc", "del", "dev", "lo", "root")


def fill(place: Path) -> None:
    """Somebody's files, half of them images."""
    head = place.parent / "head"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=512", str(head), "1M"], check=True)
    for number in range(_FILES):
        (place / f"disk-{number:05d}").write_bytes(head.read_bytes() if number % 2 else bytes(512))
    head.unlink()


def accepted(cloud: Cloud) -> None:
    """All are volumes that somebody has accepted: from then on each refresh looks at the heads of images."""
    with closing(sqlite3.connect(cloud.database, timeout=30)) as connection, connection:
        connection.execute("UPDATE volume SET state = 'present' WHERE name LIKE 'disk-%'")


def refreshed(cloud: Cloud) -> tuple[float, set[int], bool]:
    """How long a refresh takes with nothing remembered, what percentages were seen, and whether a volume was made."""
    Path("/proc/sys/vm/drop_caches").write_text("3\n")
    begun = time.monotonic()
    answer = cloud.admin("pool.refresh", pool="many")
    aside = cloud.zhao("volume.add", name="aside", pool="local", capacity=_MIB)
    seen, made = set[int](), False
    while (row := cloud.backend("sysadm").wait(tasks=(answer["task"],), seconds=0.1)["tasks"][0])["state"] != "done":
        assert row["state"] in ("queued", "running"), row
        seen.add(row["progress"])
        made = made or cloud.zhao("task.show", task=aside["task"])["state"] == "done"
    took = time.monotonic() - begun
    cloud.task(aside)
    cloud.done("volume.delete", volume="local/aside")
    return took, seen, made


def test_a_refresh_of_many_files_waits_less_for_their_server_than_libvirts(
    cloud: Cloud, nfs: NfsServer, here: Here
) -> None:
    nfs.start()
    place = nfs.small("many", "64m")
    fill(place)
    words = [
        "--type",
        "netfs",
        "--format",
        "nfs",
        "--server",
        "127.0.0.1",
        "--source",
        "/many",
        "--path",
        "/media/many",
    ]
    cloud.dosvm("pool", "add", "many", *words, "--capacity", "1TiB", "--project", "web", "--wait")
    try:
        with far_away(here):
            new, seen, made = refreshed(cloud)
            assert len(seen) >= 3, f"{seen}"
            assert made, "what is done beside it waited for its end"
            accepted(cloud)
            known, _seen, _made = refreshed(cloud)
            Path("/proc/sys/vm/drop_caches").write_text("3\n")
            begun = time.monotonic()
            here.run("virsh", "pool-refresh", str(cloud.pool("many")["uuid"]), seconds=120)
            tool = time.monotonic() - begun
        print(f"{_FILES} files, half images: new {new:.1f} s, known {known:.1f} s, virsh pool-refresh {tool:.1f} s")
        assert len(cloud.admin("volume.list", filters={"pool": "many"}, limit=1)["rows"]) == 1
        assert max(new, known) < tool
    finally:
        with closing(sqlite3.connect(cloud.database, timeout=30)) as connection, connection:
            connection.execute("DELETE FROM volume WHERE name LIKE 'disk-%'")
        cloud.dosvm("pool", "delete", "many", "--yes", "--wait")
        nfs.stop()
