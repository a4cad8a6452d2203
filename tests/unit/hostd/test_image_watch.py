"""Who watches over the file of an image, and what is never said of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from core.model import Image, Task, TaskState
from hostd import image_watch
from hostd.image_watch import ImageWatch
from tests.fakes.cloud import StillCloud
from tests.fakes.office import Office, Person
from tests.fakes.uploaders import web_with_a_directory

SIZE = 4096


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The directory of the project group."""
    return tmp_path / "group"


@pytest.fixture
def web(office: Office, cloud: StillCloud, place: Path) -> Person:
    """The admin of a project with the image ``disk``, whose file is there."""
    admin = web_with_a_directory(office, cloud, place)
    (place / "below").mkdir(parents=True)
    (place / "below/disk.raw").write_bytes(b"x" * SIZE)
    admin("image.add", name="disk", file="below/disk.raw", group="here")

    def check(session: Any) -> None:
        session.execute(update(Task).values(state=TaskState.DONE.value))
        session.execute(update(Image).values(state="present", size=SIZE))

    office.services.database.write(check)
    return admin


def watch(office: Office, host: str, state: Path) -> ImageWatch:
    state.mkdir(exist_ok=True)
    return ImageWatch(office.services.database, host, state)


def state(web: Person) -> str:
    return str(web("image.show", image="disk")["state"])


def test_one_host_watches_over_each_file_and_another_after_it(
    office: Office, cloud: StillCloud, web: Person, place: Path, tmp_path: Path
) -> None:
    """What one host has lost, another may have in a directory of its own: the one that saw it first says it."""
    office.host("h2")
    other = next(view.uuid for view in cloud.views.values() if view.name == "h2")
    mine, theirs = watch(office, cloud.me, tmp_path / "mine"), watch(office, other, tmp_path / "theirs")
    assert (mine.look(), theirs.look()) == (0, 0)
    file = place / "below/disk.raw"
    file.rename(place / "aside")
    assert (theirs.look(), state(web)) == (0, "present")
    assert (mine.look(), state(web)) == (1, "missing")
    (place / "aside").rename(file)
    assert (theirs.look(), state(web)) == (0, "missing")
    assert (mine.look(), state(web)) == (1, "present")
    office.services.database.write(lambda session: session.execute(update(Image).values(host="a host that is gone")))
    assert theirs.look() == 0
    file.unlink()
    assert (mine.look(), theirs.look(), state(web)) == (0, 1, "missing")


def test_a_file_whose_directory_went_with_it_is_gone(
    office: Office, cloud: StillCloud, web: Person, place: Path, tmp_path: Path
) -> None:
    mine = watch(office, cloud.me, tmp_path / "mine")
    mine.look()
    (place / "below/disk.raw").unlink()
    (place / "below").rmdir()
    assert (mine.look(), state(web)) == (1, "missing")


def test_where_another_file_system_is_by_now_nothing_is_said(
    office: Office, cloud: StillCloud, web: Person, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = watch(office, cloud.me, tmp_path / "mine")
    mine.look()
    (place / "below/disk.raw").unlink()
    monkeypatch.setattr(image_watch, "mounted", lambda _path: ("/", "ext4", "/dev/other"))
    # Also by the next hostd, which has not seen the file itself.
    for one in (mine, watch(office, cloud.me, tmp_path / "mine")):
        assert (one.look(), state(web)) == (0, "present")
    monkeypatch.undo()
    place.rename(tmp_path / "elsewhere")
    assert (mine.look(), state(web)) == (0, "present"), "the directory of the group is not there"
    (tmp_path / "elsewhere").rename(place)
    assert (mine.look(), state(web)) == (1, "missing")


def test_what_comes_back_as_something_else_stays_missing(
    office: Office, cloud: StillCloud, web: Person, place: Path, tmp_path: Path
) -> None:
    mine, file = watch(office, cloud.me, tmp_path / "mine"), place / "below/disk.raw"
    mine.look()
    file.unlink()
    mine.look()
    for other in (b"x" * (SIZE + 1), b"QFI\xfb".ljust(SIZE, b"\0")):
        file.write_bytes(other)
        assert (mine.look(), state(web)) == (0, "missing")
    # Its administrator has it looked at by saying what it is.
    assert web("image.edit", image="disk", format="raw")["task"]
    assert state(web) == "creating"
