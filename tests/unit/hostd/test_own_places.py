"""What is DOSVM's own is never in a storage pool, by whatever name; a directory beside it may be one."""

from __future__ import annotations

import inspect
import os
from pathlib import Path

import pytest

from core.errors import Refused
from core.specs.pool import PoolOrder
from hostd import settings
from hostd.handlers.images import ImageTasks
from hostd.own_places import OwnPlaces, refuse_home
from hostd.pools import Keeper
from hostd.settler import Settler
from hostd.uploads import Uploads


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A host's home, with what is in one; its log and a key stand elsewhere."""
    made = tmp_path / "var" / "dosvm"
    for directory in ("state/uploads", "pki", "ca", "tmp", "data"):
        (made / directory).mkdir(parents=True)
    for file in ("cluster.key", "cloud.db", "state/samples", "pki/key.pem", "data/own.db"):
        (made / file).write_text(file)
    (tmp_path / "log").mkdir()
    (made / settings.FILE).write_text(
        f"""[database]
url = "sqlite:///{made}/data/own.db"
[log]
path = "{tmp_path}/log/hostd.log"
"""
    )
    return made


@pytest.fixture
def own(home: Path) -> OwnPlaces:
    """What is its own."""
    return OwnPlaces.of(settings.load(home))


def pool(path: Path, kind: str = "dir") -> PoolOrder:
    """A pool in a directory."""
    return PoolOrder(1, "u" * 36, "zz", kind, str(path))


@pytest.mark.parametrize("kind", ["dir", "dos", "netfs"])
@pytest.mark.parametrize("place", [".", "..", "../..", "state", "state/new", "pki", "ca/x", "tmp", "data", "../../log"])
def test_a_pool_is_not_where_dosvm_keeps_its_own(own: OwnPlaces, home: Path, kind: str, place: str) -> None:
    with pytest.raises(Refused, match="storage pool zz holds, or lies in, what is DOSVM's own") as refused:
        own.refuse_place(pool((home / place).resolve(), kind))
    assert refused.value.field == "path"


def test_a_link_to_the_home_is_the_home(own: OwnPlaces, home: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(home)
    with pytest.raises(Refused, match="DOSVM's own"):
        own.refuse_place(pool(tmp_path / "link"))


@pytest.mark.parametrize(
    "place", [".", "..", "state", "state/new", "pki", "tmp/new", "data", "../../log", "../../link"]
)
def test_temporary_files_are_not_where_dosvm_keeps_its_own(own: OwnPlaces, home: Path, place: str) -> None:
    (home / "../../link").symlink_to(home)
    with pytest.raises(Refused, match="DOSVM's own"):
        own.refuse_temporary((home / place).absolute())
    own.refuse_temporary(home / "overlays")
    own.refuse_temporary(home / "../../raid/tmp")


@pytest.mark.parametrize("place", ["pool", "volumes/fast", "../beside", "../dosvm2", "data/new"])
def test_a_directory_of_its_own_may_be_a_pool_also_below_the_home(own: OwnPlaces, home: Path, place: str) -> None:
    for kind in ("dir", "dos", "netfs"):
        own.refuse_place(pool((home / place).resolve(), kind))
    made = home / place
    made.mkdir(parents=True)
    own.refuse_place(pool(made.resolve()))


def test_the_home_of_another_host_is_no_pool_either(own: OwnPlaces, tmp_path: Path) -> None:
    other = tmp_path / "shared"
    other.mkdir()
    (other / "cluster.key").touch()
    own.refuse_place(pool(other, "dos"))
    (other / settings.FILE).touch()
    with pytest.raises(Refused, match="DOSVM's own"):
        own.refuse_place(pool(other, "dos"))
    with pytest.raises(Refused, match="DOSVM's own"):
        refuse_home(pool(other, "netfs"))


@pytest.mark.parametrize("file", ["cluster.key", "cloud.db", "state/samples", "pki/key.pem", "data/own.db"])
def test_no_volume_is_a_file_of_dosvm_by_whatever_name(own: OwnPlaces, home: Path, file: str) -> None:
    place = home / "pool"
    place.mkdir()
    (place / "linked").hardlink_to(home / file)
    (place / "disk").touch()
    own.found().refuse(place / "disk", "disk")
    own.found().refuse(place / "none", "none")
    for path in (home / file, place / "linked"):
        with pytest.raises(Refused, match="a file of DOSVM itself, which is nobody's volume"):
            own.found().refuse(path, "linked")


@pytest.mark.parametrize("file", ["console.toml", "pki/new.pem", "state/starts/x", "ca/key.pem", "tmp/overlay"])
def test_no_image_is_made_among_files_of_dosvm(own: OwnPlaces, home: Path, tmp_path: Path, file: str) -> None:
    (tmp_path / "link").symlink_to(home)
    for root in (home, tmp_path / "link"):
        with pytest.raises(Refused, match="among the files of DOSVM itself") as refused:
            own.refuse_target(Path(os.path.realpath(root), file), file)
        assert refused.value.field == "file"
    for free in (home / "images" / "disk.iso", home.parent / "disk.iso", home / "data" / "disk.iso"):
        own.refuse_target(free, free.name)


@pytest.mark.parametrize(
    ("part", "arguments"),
    [
        (Uploads, ("refuse",)),
        (Settler, ("refuse",)),
        (ImageTasks, ("own", "refuse_group")),
        (Keeper, ("own", "temporary")),
    ],
)
def test_nobody_forgets_to_say_what_is_refused(part: type, arguments: tuple[str, ...]) -> None:
    """They took anything unless they were told what is not to be taken."""
    for name in arguments:
        assert inspect.signature(part).parameters[name].default is inspect.Parameter.empty
