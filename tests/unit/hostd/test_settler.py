"""The port and the temporary directory follow the parameters; what cannot be done is said, and what was stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.errors import EngineError, Refused
from core.rules.parameters import Parameters
from hostd.runtime import Runtime
from hostd.settler import Settler


def _anywhere(_directory: Path, _own: bool) -> None:
    """No directory is anything else's."""


class Ports:
    """Ports, some of which are taken."""

    def __init__(self) -> None:
        self.taken: set[int] = set()
        self.moves: list[int] = []

    def move(self, port: int) -> None:
        self.moves.append(port)
        if port in self.taken:
            raise EngineError("Cannot listen on {port}.", port=port)


@pytest.fixture
def ports() -> Ports:
    return Ports()


@pytest.fixture
def runtime() -> Runtime:
    return Runtime()


@pytest.fixture
def settler(runtime: Runtime, ports: Ports, tmp_path: Path) -> Settler:
    made = Settler(runtime, port=5555, temporary=tmp_path / "own", refuse=_anywhere)
    made.on_port(ports.move)
    return made


def test_nothing_happens_until_something_is_set(settler: Settler, ports: Ports, tmp_path: Path) -> None:
    settler.settle()
    assert (ports.moves, settler.temporary, settler.settled.port) == ([], tmp_path / "own", 5555)


def test_the_port_follows(settler: Settler, ports: Ports, runtime: Runtime) -> None:
    told: list[int] = []
    settler.on_settled(lambda: told.append(settler.settled.port))
    runtime.take(Parameters(version=1, port=6000))
    settler.settle()
    settler.settle()
    assert (ports.moves, told) == ([6000], [6000])


def test_a_port_that_is_taken_leaves_the_old_one_until_it_is_free(
    settler: Settler, ports: Ports, runtime: Runtime
) -> None:
    ports.taken.add(6000)
    runtime.take(Parameters(version=1, port=6000))
    settler.settle()
    assert settler.settled.port == 5555
    assert "6000" in json.dumps(json.loads(settler.settled.port_error)["parameters"])
    ports.taken.clear()
    settler.settle()
    assert (settler.settled.port, settler.settled.port_error) == (6000, "")


def test_a_host_that_is_not_on_the_network_has_no_port(ports: Ports, runtime: Runtime, tmp_path: Path) -> None:
    alone = Settler(runtime, port=0, temporary=tmp_path, refuse=_anywhere)
    alone.on_port(ports.move)
    runtime.take(Parameters(version=1, port=6000))
    alone.settle()
    assert (ports.moves, alone.settled.port) == ([], 0)


def test_a_directory_is_made_and_used(settler: Settler, runtime: Runtime, tmp_path: Path) -> None:
    wanted = tmp_path / "raid" / "tmp"
    runtime.take(Parameters(version=1, temporary_directory=str(wanted)))
    settler.settle()
    assert settler.temporary == wanted
    assert list(wanted.iterdir()) == []


def test_a_directory_that_cannot_be_used_leaves_the_old_one(settler: Settler, runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    runtime.take(Parameters(version=1, temporary_directory=str(tmp_path / "file" / "tmp")))
    settler.settle()
    assert settler.temporary == tmp_path / "own"
    assert json.loads(settler.settled.temporary_error)["parameters"]["path"].endswith("file/tmp")
    (tmp_path / "file").unlink()
    settler.settle()
    assert (settler.temporary, settler.settled.temporary_error) == (tmp_path / "file" / "tmp", "")


def test_a_directory_that_is_something_elses_leaves_the_old_one(runtime: Runtime, tmp_path: Path) -> None:
    """Nothing is made in it; the host's own directory is its own, also when the parameter names it."""
    asked: list[Path] = []

    def refuse(directory: Path, _own: bool) -> None:
        asked.append(directory)
        raise Refused("{path} is a pool's.", path=str(directory))

    settler = Settler(runtime, port=5555, temporary=tmp_path / "own", refuse=refuse)
    runtime.take(Parameters(version=1, temporary_directory=str(tmp_path / "pool")))
    settler.settle()
    assert (settler.temporary, asked) == (tmp_path / "own", [tmp_path / "pool"])
    assert "a pool's" in settler.settled.temporary_error
    assert not (tmp_path / "pool").exists()
    runtime.take(Parameters(version=2, temporary_directory=str(tmp_path / "own")))
    settler.settle()
    assert settler.settled.temporary_error == ""
    assert settler.place is not None
    assert settler.place.path == str(tmp_path / "own")
    assert len(asked) == 1


def test_a_wish_that_is_taken_back_takes_its_error_along(settler: Settler, runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    runtime.take(Parameters(version=1, temporary_directory=str(tmp_path / "file")))
    settler.settle()
    assert settler.settled.temporary_error
    runtime.take(Parameters(version=2))
    settler.settle()
    assert (settler.temporary, settler.settled.temporary_error) == (tmp_path / "own", "")


def exchanged(directory: Path, other: Path) -> None:
    """What a mount does: another directory has the name; by the same again, the first one has it back."""
    aside = directory.with_name("aside")
    directory.rename(aside)
    if other.exists():
        other.rename(directory)
    else:
        directory.mkdir()
    aside.rename(other)


@pytest.mark.parametrize("named", [False, True])
def test_what_was_mounted_over_the_directory_since_is_looked_at_before_a_file_is_made_there(
    runtime: Runtime, tmp_path: Path, named: bool
) -> None:
    """It went unnoticed: where it was a pool's, what VMs write became volumes there."""
    asked: list[bool] = []
    pools: set[int] = set()

    def refuse(directory: Path, own: bool) -> None:
        asked.append(own)
        if directory.exists() and directory.stat().st_ino in pools:
            raise Refused("{path} is a pool's.", path=str(directory))

    place = tmp_path / ("named" if named else "own")
    place.mkdir()
    settler = Settler(runtime, port=5555, temporary=tmp_path / "own", refuse=refuse)
    runtime.take(Parameters(version=1, temporary_directory=str(place) if named else ""))
    settler.settle()
    asked.clear()
    assert (settler.directory(), asked) == (place, []), "it is looked at once"
    before = settler.place
    exchanged(place, tmp_path / "beneath")
    pools.add(place.stat().st_ino)
    for _again in range(2):
        with pytest.raises(Refused, match="a pool's"):
            settler.directory()
    settler.settle()
    assert "a pool's" in settler.settled.temporary_error
    assert list(place.iterdir()) == []
    # It is unmounted.
    exchanged(place, tmp_path / "beneath")
    assert settler.directory() == place
    settler.settle()
    assert (settler.settled.temporary_error, settler.place) == ("", before)
    # What is nobody's is used; that it is another one is known to whoever makes a pool.
    exchanged(place, tmp_path / "free")
    assert settler.directory() == place
    assert settler.place is not None
    assert settler.place.number == place.stat().st_ino
    assert set(asked) == {not named}
    place.rmdir()
    assert settler.directory() == place
    assert place.is_dir(), "it was removed"
