"""A host's directory that is a mount point: what is not mounted is not there, which is not the same as gone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from core.errors import from_wire
from tests.engine.hostd import Hostd, file_system, on_host, refused

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]
MIB = 1024**2


@pytest.fixture
def place(hostd: Hostd) -> Iterator[Path]:
    """A file system of its own, with the pool ``apart`` on it."""
    with file_system(hostd, "apart", "64M") as place:
        host = str(hostd.admin("host.list")["rows"][0]["name"])
        where = {"type": "dir", "host": host, "path": str(place), "capacity": 1 << 30, "projects": ["web"]}
        hostd.done("pool.add", "sysadm", name="apart", **where)
        yield place
        hostd.clean()
        for row in hostd.zhao("volume.list")["rows"]:
            if row["pool"] == "apart":
                hostd.done("volume.delete", volume=row["reference"])
        hostd.done("pool.delete", "sysadm", pool="apart")
        assert ".dosvm-pool" not in on_host(hostd, "ls", "-A", str(place)), "the next pool there makes its own mark"


def test_what_is_not_mounted_loses_no_volume(hostd: Hostd, place: Path) -> None:
    hostd.done("volume.add", name="kept", pool="apart", capacity=MIB, format="raw")
    on_host(hostd, "umount", str(place))
    try:
        for call in (
            lambda: hostd.zhao("pool.refresh", pool="apart"),
            lambda: hostd.zhao("volume.delete", volume="apart/kept"),
            lambda: hostd.zhao("volume.add", name="below", pool="apart", capacity=MIB, format="raw"),
        ):
            row = hostd.task(call())
            assert row["state"] == "failed", row
            assert "mounted" in hostd.error(row)
        assert on_host(hostd, "ls", "-A", str(place)) == "", "nothing is written below the mount point"
        pool = hostd.admin("pool.show", pool="apart")
        assert pool["state"] == "failed"
        assert str(place) in str(pool["error"])
        assert hostd.zhao("volume.show", volume="apart/kept")["state"] == "present"
        # No file of it was begun: nothing holds its name and its quota.
        assert [row["name"] for row in hostd.zhao("volume.list", search="below")["rows"]] == []
    finally:
        on_host(hostd, "mount", "-o", "loop", str(hostd.home / "apart.img"), str(place))
    hostd.done("pool.refresh", "sysadm", pool="apart")
    assert hostd.admin("pool.show", pool="apart")["state"] == "active"
    assert hostd.zhao("volume.show", volume="apart/kept")["state"] == "present"


def test_a_directory_that_is_gone_is_not_made_anew(hostd: Hostd, place: Path) -> None:
    on_host(hostd, "umount", str(place))
    place.rmdir()
    try:
        row = hostd.task(hostd.admin("pool.refresh", pool="apart"), "sysadm")
        assert row["state"] == "failed"
        assert "mounted" in hostd.error(row)
        assert not place.exists()
    finally:
        place.mkdir()
        on_host(hostd, "mount", "-o", "loop", str(hostd.home / "apart.img"), str(place))


def test_a_pool_of_before_is_marked_when_its_volumes_are_seen(hostd: Hostd, place: Path) -> None:
    hostd.done("volume.add", name="kept", pool="apart", capacity=MIB, format="raw")
    uuid = hostd.admin("pool.show", pool="apart")["uuid"]
    note = hostd.home / "state/pools" / uuid
    on_host(hostd, "rm", str(place / ".dosvm-pool"))
    note.write_text(note.read_text().replace('"marked": true', '"marked": false'))
    on_host(hostd, "umount", str(place))
    try:
        assert hostd.task(hostd.admin("pool.refresh", pool="apart"), "sysadm")["state"] == "failed"
    finally:
        on_host(hostd, "mount", "-o", "loop", str(hostd.home / "apart.img"), str(place))
    hostd.done("pool.refresh", "sysadm", pool="apart")
    assert on_host(hostd, "cat", str(place / ".dosvm-pool")).strip() == uuid


def test_a_volume_that_the_file_system_cannot_hold_is_refused_or_asked_about(hostd: Hostd, place: Path) -> None:
    error = refused(lambda: hostd.zhao("volume.add", name="huge", pool="apart", capacity=500 * MIB, format="raw"))
    assert "can never be filled" in error.text()
    on_host(hostd, "fallocate", "-l", "40M", str(place / ".filler"))
    hostd.done("pool.refresh", pool="apart")
    error = refused(lambda: hostd.zhao("volume.add", name="large", pool="apart", capacity=32 * MIB, format="qcow2"))
    assert "are free" in error.text()
    hostd.done("volume.add", name="large", pool="apart", capacity=32 * MIB, format="qcow2", thin=True)
    assert hostd.zhao("pool.show", pool="apart")["overcommitted"] > 0
    on_host(hostd, "rm", str(place / ".filler"))


def forget_what_is_free(hostd: Hostd) -> None:
    """The database has of the pool what was true before somebody filled it: all is free."""
    with closing(sqlite3.connect(hostd.database)) as cloud, cloud:
        cloud.execute("UPDATE pool_on_host SET free = size WHERE pool_id = (SELECT id FROM pool WHERE name = 'apart')")


def test_room_that_is_gone_since_it_was_measured_is_found_out_before_the_file_is_made(
    hostd: Hostd, place: Path
) -> None:
    """What is free was up to a minute old: so long a volume was made without a question that nothing had room for."""
    hostd.done("volume.add", name="small", pool="apart", capacity=MIB, format="qcow2")
    before = hostd.zhao("usage.show")["used_disk"]
    on_host(hostd, "fallocate", "-l", "40M", str(place / ".filler"))
    files, known = on_host(hostd, "ls", "-A", str(place)), ["small"]
    calls = {
        "volume.add": {"name": "large", "pool": "apart", "capacity": 32 * MIB, "format": "raw"},
        "volume.grow": {"volume": "apart/small", "capacity": 32 * MIB},
    }
    for call, given in calls.items():
        forget_what_is_free(hostd)
        row = hostd.task(hostd.zhao(call, **given))
        assert row["state"] == "failed", call
        assert row["error"]["field"] == "capacity"
        assert "In the file system of storage pool apart" in from_wire(row["error"]).text()
        assert on_host(hostd, "ls", "-A", str(place)) == files, "nothing is left"
        assert hostd.zhao("usage.show")["used_disk"] == before, "the quota is free again"
        assert [one["name"] for one in hostd.zhao("volume.list", filters={"pool": "apart"})["rows"]] == known
        # What its host found is known: who tries again is asked at once.
        assert "are free" in refused(lambda call=call, given=given: hostd.zhao(call, **given)).text()  # type: ignore[misc]
        hostd.done(call, **given, thin=True)
        before = hostd.zhao("usage.show")["used_disk"]
        files, known = on_host(hostd, "ls", "-A", str(place)), ["large", "small"]
    # What nothing can ever hold is not made when it is said to be meant, either.
    with closing(sqlite3.connect(hostd.database)) as cloud, cloud:
        cloud.execute("UPDATE pool_on_host SET size = 1 << 40")
    row = hostd.task(hostd.zhao("volume.add", name="huge", pool="apart", capacity=500 * MIB, format="raw", thin=True))
    assert "can never be filled" in hostd.error(row)
    on_host(hostd, "rm", str(place / ".filler"))


def test_a_merge_of_which_no_file_was_begun_leaves_nothing_and_its_snapshot_free(hostd: Hostd, place: Path) -> None:
    """It holds no name and no quota, also while its storage is away; nothing is written below the mount point."""
    hostd.done("volume.add", name="base", pool="apart", capacity=MIB, format="qcow2")
    hostd.done("volume.snapshot", volume="apart/base", name="work")
    before = hostd.zhao("usage.show")["used_disk"]
    on_host(hostd, "umount", str(place))
    try:
        row = hostd.task(hostd.zhao("volume.merge", volume="apart/work", name="whole"))
        assert row["state"] == "failed"
        assert "mounted" in hostd.error(row)
        assert on_host(hostd, "ls", "-A", str(place)) == ""
        names = {one["name"]: one["state"] for one in hostd.zhao("volume.list")["rows"] if one["pool"] == "apart"}
        assert names == {"base": "present", "work": "present"}
        assert hostd.zhao("usage.show")["used_disk"] == before
    finally:
        on_host(hostd, "mount", "-o", "loop", str(hostd.home / "apart.img"), str(place))
    hostd.done("volume.merge", volume="apart/work", name="whole")
    assert hostd.zhao("volume.show", volume="apart/whole")["state"] == "present"
    hostd.done("volume.delete", volume="apart/work")


def test_the_record_of_a_volume_whose_file_is_gone_is_forgotten(hostd: Hostd, place: Path) -> None:
    hostd.done("volume.add", name="gone", pool="apart", capacity=MIB, format="raw")
    hostd.done("volume.add", name="kept", pool="apart", capacity=MIB, format="raw")
    before = hostd.zhao("usage.show")["used_disk"]
    forget = lambda: hostd.admin("volume.forget", volume="apart/gone")  # noqa: E731
    assert "its file would be left behind" in refused(forget).text()
    on_host(hostd, "rm", str(place / "gone"))
    assert "Delete it" in refused(forget).text(), "nobody has seen yet that its file is gone"
    hostd.done("pool.refresh", "sysadm", pool="apart")
    files = on_host(hostd, "ls", "-A", str(place))
    forget()
    assert on_host(hostd, "ls", "-A", str(place)) == files
    assert [one["name"] for one in hostd.zhao("volume.list")["rows"] if one["pool"] == "apart"] == ["kept"]
    assert hostd.zhao("usage.show")["used_disk"] == before - MIB
    hostd.done("volume.add", name="gone", pool="apart", capacity=MIB, format="raw")


def test_what_was_forgotten_while_its_storage_was_away_is_found_again_whole(hostd: Hostd, place: Path) -> None:
    """An encrypted one opens with the secret that it had, and with that alone."""
    secret = {"kind": "volume", "usage": "apart", "project": "web", "value": "Correct-horse-battery"}
    hostd.admin("secret.add", name="key", display_name="key", **secret)
    hostd.done("volume.add", name="lost", pool="apart", capacity=8 * MIB, format="qcow2", secret="key")
    digest = on_host(hostd, "sha256sum", str(place / "lost"))
    before = hostd.zhao("usage.show")["used_disk"]
    on_host(hostd, "umount", str(place))
    try:
        assert hostd.task(hostd.admin("pool.refresh", pool="apart"), "sysadm")["state"] == "failed"
        assert hostd.admin("pool.show", pool="apart")["state"] == "failed"
        hostd.admin("volume.forget", volume="apart/lost")
        assert [one["name"] for one in hostd.zhao("volume.list")["rows"] if one["pool"] == "apart"] == []
        assert hostd.zhao("usage.show")["used_disk"] == before - 8 * MIB
    finally:
        on_host(hostd, "mount", "-o", "loop", str(hostd.home / "apart.img"), str(place))
    assert on_host(hostd, "sha256sum", str(place / "lost")) == digest
    hostd.done("pool.refresh", "sysadm", pool="apart")
    row = hostd.admin("volume.show", volume="apart/lost")
    assert (row["state"], row["project"], row["encrypted"], row["secret"]) == ("foreign", "", True, "")
    said = {"volume": "apart/lost", "format": "qcow2", "project": "web"}
    assert "is encrypted" in hostd.error(hostd.task(hostd.admin("volume.accept", **said), "sysadm"))
    hostd.done("volume.accept", "sysadm", **said, secret="key")
    assert on_host(hostd, "sha256sum", str(place / "lost")) == digest
    hostd.done("volume.delete", volume="apart/lost")
    hostd.admin("secret.delete", secret="key")
