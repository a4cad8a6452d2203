"""What of this host is DOSVM's own, held against storage pools: none of it is ever a volume.

A pool may be in a directory of its own below hostd's home, where nothing of DOSVM's is. It may not be the home, lie
where hostd keeps its state and keys, or have any of that in it: a refresh would offer the cluster key as a volume.
Directories are told by their true path, device and inode, and place in their file system; files by device and inode.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from core.errors import Refused
from core.i18n import N_
from core.rpc.own_files import Identity, identities, identity
from core.rules.pools import NETFS
from core.setup import KEY
from core.specs.pool import PoolOrder
from hostd import netfs, settings
from hostd.places import Place, holds, place_of

#: Files that together only a home of hostd has, this host's or another one's.
_SIGNS = (settings.FILE, KEY)


@dataclass(frozen=True)
class OwnPlaces:
    """Where this host's own files are.

    Attributes:
        home: hostd's; plain files right in it are its own.
        inside: directories in which all is its own.
        files: files elsewhere.
    """

    home: Path
    inside: tuple[Path, ...] = ()
    files: tuple[Path, ...] = ()

    @classmethod
    def of(cls, known: settings.Settings) -> OwnPlaces:
        """Those of a host by its settings."""
        home = known.home
        inside = [known.state, *(home / name for name in settings.OWN_DIRECTORIES)]
        # One that stands elsewhere may be a directory of many things, as /var/tmp is.
        if known.temporary.is_relative_to(home) and known.temporary != home:
            inside.append(known.temporary)
        return cls(home, tuple(inside), tuple(place for place in known.own if place not in (home, known.temporary)))

    def refuse_place(self, pool: PoolOrder) -> None:
        """Refuse a pool whose directory is, lies in, or has in it what is DOSVM's own.

        Raises:
            Refused: names it.
            OSError: the directory cannot be looked at.
        """
        # What is mounted there may not answer: only what is above it is looked at.
        mine = _above(netfs.place(pool)) if pool.kind == NETFS else place_of(pool.path)
        for own in (self.home, *self.inside, *self.files):
            theirs = place_of(str(own))
            if holds(mine, theirs) or (own in self.inside and holds(theirs, mine)):
                raise _refused(pool, own)
        if pool.kind != NETFS:
            refuse_home(pool)

    def refuse_target(self, path: Path, file: str) -> None:
        """Refuse a new file where it would be taken for DOSVM's own: right in a home, or among state and keys.

        Args:
            path: where it is to be made, its directory without links.
            file: what people call it.

        Raises:
            Refused: it would.
        """
        there = place_of(str(path.parent))
        home = place_of(str(self.home))
        ours = (holds(home, there) and holds(there, home)) or _is_home(path.parent)
        if ours or any(holds(place_of(str(own)), there) for own in self.inside):
            raise Refused(
                N_("{file} would be among the files of DOSVM itself, in {directory}."),
                remedy=N_("Give the project group a directory of its own, in which nothing else is."),
                field="file",
                file=file,
                directory=str(path.parent),
            )

    def refuse_temporary(self, directory: Path) -> None:
        """Refuse a directory of VMs' temporary files that is, lies in, or has in it what is DOSVM's own.

        Raises:
            Refused: names it.
            OSError: the directory cannot be looked at.
        """
        mine = place_of(str(directory))
        for own in (self.home, *self.inside, *self.files):
            theirs = place_of(str(own))
            if holds(mine, theirs) or (own in self.inside and holds(theirs, mine)):
                raise Refused(
                    N_("{path} cannot hold temporary files: it is, holds, or lies in, what is DOSVM's own: {own}."),
                    remedy=N_("Name another directory in the runtime parameters, in which nothing else is."),
                    path=str(directory),
                    own=str(own),
                )

    def found(self) -> OwnFiles:
        """What of it are files by now; looked for once, when the first is held against them."""
        return OwnFiles(self)

    def has(self, status: os.stat_result) -> bool:
        """Whether a file is DOSVM's own."""
        return self.found().has(status)


class OwnFiles:
    """The files that are DOSVM's own at one moment: who looks at many of others walks through its own once."""

    def __init__(self, places: OwnPlaces) -> None:
        self._places = places

    def has(self, status: os.stat_result) -> bool:
        """Whether a file is one of them."""
        return identity(status) in self._identities

    def refuse(self, path: Path, name: str) -> None:
        """Refuse a file that is one of them, by whatever name.

        Args:
            path: of the file; one that is not there is nobody's.
            name: of the volume that it is to be.

        Raises:
            Refused: it is.
        """
        with contextlib.suppress(FileNotFoundError):
            if self.has(path.stat()):
                raise Refused(
                    N_("The file of volume {name} is a file of DOSVM itself, which is nobody's volume: {path}."),
                    field="volume",
                    name=name,
                    path=str(path),
                )

    @cached_property
    def _identities(self) -> frozenset[Identity]:
        own = [*self._places.inside, *self._places.files]
        with contextlib.suppress(OSError), os.scandir(self._places.home) as entries:
            own += [Path(entry.path) for entry in entries if entry.is_file()]
        return identities(own)


def refuse_home(pool: PoolOrder) -> None:
    """Refuse a directory that is the home of a hostd, which may be another host's: they share file systems.

    Raises:
        Refused: it is.
    """
    if _is_home(Path(pool.path)):
        raise _refused(pool, Path(pool.path) / KEY)


def _is_home(directory: Path) -> bool:
    return all((directory / name).is_file() for name in _SIGNS)


def _above(path: str) -> Place:
    """A place that is not looked at itself."""
    itself = Path(path)
    above = place_of(str(itself.parent))
    inner = str(Path(above.inner) / itself.name) if above.inner else ""
    return Place(str(Path(above.path) / itself.name), 0, 0, above.system, inner)


def _refused(pool: PoolOrder, own: Path) -> Refused:
    return Refused(
        N_("{path} of storage pool {name} holds, or lies in, what is DOSVM's own: {own}."),
        remedy=N_("Use a directory of its own, in which nothing else is."),
        field="path",
        path=pool.path,
        name=pool.name,
        own=str(own),
    )
