"""hostd is killed in the middle of its work on network storage: the next one ends it, and rows and files agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.hostd import until
from tests.storage.cloud import Cloud
from tests.storage.here import Here
from tests.storage.servers import (
    CHAP_PASSWORD,
    CIFS_PASSWORD,
    CIFS_SHARE,
    NFS4_SOURCE,
    NFS_EXPORT,
    TARGET,
    CifsServer,
    IscsiServer,
    NfsServer,
)

pytestmark = [pytest.mark.storage, pytest.mark.timeout(400)]

_NETFS = ["--type", "netfs", "--server", "127.0.0.1", "--capacity", "1GiB", "--project", "web"]


def restart(cloud: Cloud, point: str = "") -> None:
    """Start hostd, which dies at a point if one is given."""
    cloud.start({"HOSTD_CRASH_AT": point} if point else {})
    cloud.wait()


def dies(cloud: Cloud) -> None:
    """Wait for its death."""
    until(lambda: not cloud.running, 60, f"hostd's death: {cloud.log_tail()}")


def order(cloud: Cloud, *words: str, account: str = "zhao") -> None:
    """Order something at which hostd dies."""
    cloud.dosvm(*words, "--no-wait", account=account, check=False)
    dies(cloud)


def tasks_end(cloud: Cloud, after: int) -> None:
    """All tasks after one come to a good end."""
    until(lambda: not cloud.rows("SELECT * FROM task WHERE state IN ('queued', 'running')"), 60, "the end of all tasks")
    assert cloud.rows("SELECT target_name, error FROM task WHERE state != 'done' AND id > ?", after) == []


def last_task(cloud: Cloud) -> int:
    """The youngest task's id."""
    ((last,),) = cloud.rows("SELECT MAX(id) FROM task")
    return int(last)


def settled(cloud: Cloud, after: int, pool: str, place: Path, names: dict[str, str]) -> None:
    """All tasks after one end well; rows (name: what it rests on) and files are these and no others."""
    tasks_end(cloud, after)
    rows = cloud.zhao("volume.list", filters={"pool": pool})["rows"]
    assert {row["name"]: row["backing"] for row in rows} == names
    assert {row["state"] for row in rows} <= {"present"}
    wanted = sorted([".dosvm-pool", *names])
    until(lambda: sorted(path.name for path in place.iterdir()) == wanted, 30, "no leftovers")


def whole(here: Here, file: Path) -> None:
    """See that a merged file rests on nothing."""
    said = here.run("qemu-img", "info", "-f", "qcow2", str(file))
    assert "16 MiB" in said
    assert "backing" not in said


def test_at_each_step_of_create_merge_and_delete_on_nfs(cloud: Cloud, nfs: NfsServer, here: Here) -> None:
    nfs.start()
    place = ["--format", "nfs", "--source", NFS4_SOURCE, "--path", "/media/nas"]
    cloud.dosvm("pool", "add", "nas", *_NETFS, *place, "--wait")
    last = last_task(cloud)
    cloud.kill()

    restart(cloud, "volume_made")
    order(cloud, "volume", "add", "base", "--pool", "nas", "--capacity", "16MiB", "--format", "qcow2")
    assert (NFS_EXPORT / "base").exists() is False
    restart(cloud, "after_volume:2")
    settled(cloud, last, "nas", NFS_EXPORT, {"base": ""})

    order(cloud, "volume", "snapshot", "nas/base", "top")
    restart(cloud, "merging")
    settled(cloud, last, "nas", NFS_EXPORT, {"base": "", "top": "nas/base"})

    order(cloud, "volume", "merge", "nas/top", "whole")
    restart(cloud, "before_removal")
    settled(cloud, last, "nas", NFS_EXPORT, {"base": "", "top": "nas/base", "whole": ""})
    whole(here, NFS_EXPORT / "whole")

    order(cloud, "volume", "delete", "nas/top", "--yes")
    # Its successor goes on with it, and dies a step later.
    cloud.start({"HOSTD_CRASH_AT": "after_removal"})
    dies(cloud)
    restart(cloud)
    settled(cloud, last, "nas", NFS_EXPORT, {"base": "", "whole": ""})
    cloud.remove("nas")
    assert list(NFS_EXPORT.iterdir()) == []
    nfs.stop()


def test_on_cifs_and_at_the_making_of_a_pool_on_iscsi(
    cloud: Cloud, cifs: CifsServer, iscsi: IscsiServer, here: Here
) -> None:
    cloud.add_secret("killed-share", "cifs", CIFS_PASSWORD)
    cloud.add_secret("killed-target", "iscsi", CHAP_PASSWORD)
    account = ["--account", "alice", "--secret"]
    share = ["--format", "cifs", "--source", "disks", "--path", "/media/smb", *account, "killed-share"]
    target = ["--server", "127.0.0.1", "--source", TARGET, *account, "killed-target", "--capacity", "1GiB"]
    cloud.dosvm("pool", "add", "smb", *_NETFS, *share, "--wait")
    last = last_task(cloud)
    cloud.kill()

    restart(cloud, "volume_made")
    order(cloud, "volume", "add", "base", "--pool", "smb", "--capacity", "16MiB", "--format", "qcow2")
    assert (CIFS_SHARE / "base").exists() is False
    # The next ends that, logs in at the target, and dies before it has said so.
    restart(cloud, "after_pool")
    settled(cloud, last, "smb", CIFS_SHARE, {"base": ""})
    cloud.dosvm("volume", "snapshot", "smb/base", "top", "--wait", account="zhao")
    order(cloud, "pool", "add", "san", "--type", "iscsi", *target, "--project", "web", account="sysadm")

    restart(cloud, "merging")
    tasks_end(cloud, last)
    units = cloud.found("san")
    assert len(units) == 2
    order(cloud, "volume", "merge", "smb/top", "whole")

    restart(cloud, "before_removal")
    settled(cloud, last, "smb", CIFS_SHARE, {"base": "", "top": "smb/base", "whole": ""})
    whole(here, CIFS_SHARE / "whole")
    order(cloud, "volume", "delete", "smb/top", "--yes")

    # Of a unit the record alone is deleted; letting go of the target is begun anew by whoever comes.
    restart(cloud, "after_pool")
    settled(cloud, last, "smb", CIFS_SHARE, {"base": "", "whole": ""})
    for unit in units:
        cloud.dosvm("volume", "delete", f"san/{unit}", "--yes", "--wait")
    order(cloud, "pool", "delete", "san", "--yes", account="sysadm")
    restart(cloud)
    tasks_end(cloud, last)
    assert "san" not in {row["name"] for row in cloud.admin("pool.list")["rows"]}
    # hostd may have made the pool active once more when it came, before it went on with the deletion: then it lets go
    # of it when it looks next.
    until(lambda: not list(Path("/sys/class/iscsi_session").glob("*")), 90, "logged in still")
    until(lambda: not list(Path("/etc/iscsi/nodes").rglob("default")), 90, "the password is kept")
    cloud.remove("smb")
    assert list(CIFS_SHARE.iterdir()) == []
