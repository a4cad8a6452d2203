"""hostd is killed in the middle of its work on NFS: the next one ends it, and rows and files agree."""

from __future__ import annotations

import pytest

from tests.engine.hostd import until
from tests.storage.cloud import Cloud
from tests.storage.here import Here
from tests.storage.servers import NFS4_SOURCE, NFS_EXPORT, NfsServer

pytestmark = [pytest.mark.storage, pytest.mark.timeout(400)]

_PLACE = ["--type", "netfs", "--format", "nfs", "--server", "127.0.0.1", "--path", "/media/nas", "--capacity", "1GiB"]


def restart(cloud: Cloud, point: str = "") -> None:
    """Start hostd, which dies at a point if one is given."""
    cloud.start({"HOSTD_CRASH_AT": point} if point else {})
    cloud.wait()


def dies(cloud: Cloud) -> None:
    """Wait for its death."""
    until(lambda: not cloud.running, 60, f"hostd's death: {cloud.log_tail()}")


def settled(cloud: Cloud, after: int, names: dict[str, str]) -> None:
    """All tasks after one come to a good end; rows (name: what it rests on) and files are these and no others."""
    until(lambda: not cloud.rows("SELECT * FROM task WHERE state IN ('queued', 'running')"), 60, "the end of all tasks")
    assert cloud.rows("SELECT target_name, error FROM task WHERE state != 'done' AND id > ?", after) == []
    rows = cloud.zhao("volume.list", filters={"pool": "nas"})["rows"]
    assert {row["name"]: row["backing"] for row in rows} == names
    assert {row["state"] for row in rows} <= {"present"}
    wanted = sorted([".dosvm-pool", *names])
    until(lambda: sorted(path.name for path in NFS_EXPORT.iterdir()) == wanted, 30, "no leftovers")


def test_at_each_step_of_create_merge_and_delete(cloud: Cloud, nfs: NfsServer, here: Here) -> None:
    nfs.start()
    cloud.dosvm("pool", "add", "nas", *_PLACE, "--source", NFS4_SOURCE, "--project", "web", "--wait")
    ((last,),) = cloud.rows("SELECT MAX(id) FROM task")
    cloud.kill()

    restart(cloud, "volume_made")
    add = ["volume", "add", "base", "--pool", "nas", "--capacity", "16MiB", "--format", "qcow2"]
    cloud.dosvm(*add, "--no-wait", account="zhao", check=False)
    dies(cloud)
    assert (NFS_EXPORT / "base").exists() is False
    restart(cloud, "after_volume:2")
    settled(cloud, last, {"base": ""})

    cloud.dosvm("volume", "snapshot", "nas/base", "top", "--no-wait", account="zhao", check=False)
    dies(cloud)
    restart(cloud, "merging")
    settled(cloud, last, {"base": "", "top": "nas/base"})

    cloud.dosvm("volume", "merge", "nas/top", "whole", "--no-wait", account="zhao", check=False)
    dies(cloud)
    restart(cloud, "before_removal")
    settled(cloud, last, {"base": "", "top": "nas/base", "whole": ""})
    said = here.run("qemu-img", "info", "-f", "qcow2", str(NFS_EXPORT / "whole"))
    assert "16 MiB" in said
    assert "backing" not in said

    cloud.dosvm("volume", "delete", "nas/top", "--yes", "--no-wait", account="zhao", check=False)
    dies(cloud)
    # Its successor goes on with it, and dies a step later.
    cloud.start({"HOSTD_CRASH_AT": "after_removal"})
    dies(cloud)
    restart(cloud)
    settled(cloud, last, {"base": "", "whole": ""})
    cloud.remove("nas")
    assert list(NFS_EXPORT.iterdir()) == []
    nfs.stop()
