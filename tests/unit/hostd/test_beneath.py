"""Paths of a group stay in its directory, and nobody else can exchange a file between hostd's look and QEMU's."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from pathlib import Path

import pytest

from core.errors import DosvmError, InvalidInput, Refused
from hostd import beneath
from hostd.beneath import look, remove

UUID = "0b6ff1f0-6a54-4fd5-9c39-4ee9a3f3a111"

#: Somebody who is neither root nor QEMU.
SOMEBODY = 54321


@pytest.fixture
def group(tmp_path: Path) -> Path:
    """A group's directory with a file in it and one below."""
    root = tmp_path / "group"
    (root / "iso").mkdir(parents=True)
    for file in ("disk.raw", "iso/cd.iso"):
        (root / file).write_bytes(bytes(4096))
    return root


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file outside that is nobody's business."""
    path = tmp_path / "secret"
    path.write_text("of others")
    os.chown(path, SOMEBODY, SOMEBODY)
    return path


def test_what_lies_in_the_directory_is_found_also_below_and_through_a_link_to_the_whole_of_it(
    group: Path, tmp_path: Path
) -> None:
    assert look(group, "disk.raw") == group / "disk.raw"
    assert look(group, "iso/cd.iso") == group / "iso/cd.iso"
    (tmp_path / "mounted").symlink_to(group)
    assert look(tmp_path / "mounted", "iso/cd.iso") == group / "iso/cd.iso"


@pytest.mark.parametrize("file", ["../secret", "iso/../../secret", "./disk.raw", "/etc/passwd", "iso//cd.iso", ""])
def test_no_name_leads_out(group: Path, secret: Path, file: str) -> None:
    with pytest.raises(InvalidInput, match="leads out"):
        look(group, file)
    remove(group, file, UUID, lambda: None)
    assert secret.exists()
    assert (group / "disk.raw").exists()


def test_links_are_not_followed_wherever_they_lead(group: Path, secret: Path) -> None:
    (group / "out").symlink_to(secret)
    (group / "in").symlink_to("disk.raw")
    (group / "up").symlink_to(group.parent)
    (group / "nowhere").symlink_to(group / "nothing")
    for file in ("out", "in", "up/secret", "up/group/disk.raw", "nowhere"):
        with pytest.raises(InvalidInput, match="a link, or lies behind one"):
            look(group, file)
    assert secret.stat().st_uid == SOMEBODY
    for file in ("out", "in", "up/secret", "nowhere"):
        remove(group, file, UUID, lambda: None)
    assert (secret.exists(), (group / "disk.raw").exists()) == (True, True), "a link is removed, not what it leads to"
    assert sorted(path.name for path in group.iterdir()) == ["disk.raw", "iso", "up"]


def test_what_is_no_plain_file_is_refused_at_once(group: Path) -> None:
    os.mkfifo(group / "pipe")
    os.mknod(group / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    for file in ("pipe", "iso", "null"):
        with pytest.raises(InvalidInput, match="not a plain file"):
            look(group, file)
    with pytest.raises(InvalidInput, match="There is no file nothing"):
        look(group, "nothing")
    with pytest.raises(InvalidInput, match="There is no file a/b"):
        look(group, "a/b")


@pytest.mark.parametrize("whose", ["group", "below", "above"])
@pytest.mark.parametrize("how", ["owner", "others", "their group"])
def test_a_directory_that_others_write_to_is_refused_and_named(group: Path, whose: str, how: str) -> None:
    place = {"group": group, "below": group / "iso", "above": group.parent}[whose]
    if how == "owner":
        os.chown(place, SOMEBODY, -1)
    elif how == "others":
        place.chmod(0o777)
    else:
        os.chown(place, -1, SOMEBODY)
        place.chmod(0o775)
    with pytest.raises(Refused, match="Others than root may write") as refused:
        look(group, "iso/cd.iso")
    assert refused.value.parameters["directory"] == str(place)
    assert f"chown root {place}" in refused.value.text()


def test_a_directory_like_tmp_does_not_hurt_above_but_does_as_the_last_one(group: Path) -> None:
    group.parent.chmod(0o1777)
    assert look(group, "disk.raw")
    group.chmod(0o1777)
    with pytest.raises(Refused):
        look(group, "disk.raw")


def test_the_file_is_taken_from_who_copied_it_there(group: Path) -> None:
    file = group / "disk.raw"
    os.chown(file, SOMEBODY, SOMEBODY)
    file.chmod(0o666)
    look(group, "disk.raw", new=True)
    assert (file.stat().st_uid, stat.S_IMODE(file.stat().st_mode)) == (0, 0o644)
    assert file.read_bytes() == bytes(4096)


def test_a_file_that_is_still_being_copied_is_refused_until_it_is_whole(group: Path) -> None:
    with (group / "disk.raw").open("ab") as copying:
        copying.write(b"more")
        with pytest.raises(Refused, match="still writing to disk"):
            look(group, "disk.raw", new=True)
        look(group, "disk.raw")  # in use: a VM writes to it
    look(group, "disk.raw", new=True)


def test_a_lease_that_nfs_refuses_says_nothing(group: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFSv4 answers the same whether somebody writes or the server has not delegated the file."""
    monkeypatch.setattr(beneath, "mounted", lambda path: (path, "nfs4", "server:/images"))
    with (group / "disk.raw").open("ab"):
        look(group, "disk.raw", new=True)


def test_who_opens_a_file_to_write_while_it_is_looked_at_hurts_nobody(group: Path) -> None:
    """A lease tells by a signal that would end hostd, were it not chosen to be one that is ignored."""
    end = threading.Event()

    def write() -> None:
        while not end.is_set():
            with (group / "disk.raw").open("ab"):
                pass

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(300):
        with contextlib.suppress(Refused):
            look(group, "disk.raw", new=True)
    end.set()
    writer.join()


def test_a_file_with_another_name_is_not_registered(group: Path) -> None:
    os.link(group / "disk.raw", group.parent / "other")
    with pytest.raises(InvalidInput, match="other names"):
        look(group, "disk.raw", new=True)


def test_whoever_exchanges_the_file_while_it_is_looked_at_gains_nothing(group: Path, secret: Path) -> None:
    """The file becomes a link to a secret and a file again, all the time: the secret is never touched."""
    end = threading.Event()

    def exchange() -> None:
        while not end.is_set():
            (group / "new").symlink_to(secret)
            (group / "new").replace(group / "disk.raw")
            (group / "new").write_bytes(bytes(512))
            os.chown(group / "new", SOMEBODY, -1)
            (group / "new").replace(group / "disk.raw")

    attacker = threading.Thread(target=exchange)
    attacker.start()
    found = refused = 0
    try:
        while found < 20 or refused < 20:
            try:
                assert look(group, "disk.raw") == group / "disk.raw"
                found += 1
            except DosvmError:
                refused += 1
            assert secret.stat().st_uid == SOMEBODY
    finally:
        end.set()
        attacker.join()
