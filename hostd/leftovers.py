"""Working directories that a hostd left in a pool when it died between knowing a volume and tidying up."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from core.coordination import storage
from core.database import Database
from core.errors import DosvmError
from core.rules.names import is_uuid
from hostd import volume_files
from hostd.hypervisor.pools import Pools
from hostd.pools import Keeper
from hostd.volume_files import PART


class Leftovers:
    """Removes what no task works in any more, in the pools that this host has. May be done by several hosts at once."""

    def __init__(self, database: Database, host_id: Callable[[], int | None], pools: Pools, keeper: Keeper) -> None:
        self._database = database
        self._host_id = host_id
        self._pools = pools
        self._keeper = keeper

    def look(self) -> None:
        """Once.

        Raises:
            DosvmError: the database or libvirt cannot be asked.
        """
        host_id = self._host_id()
        if host_id is None:
            return
        for pool in self._database.read(lambda session: storage.pools_of_host(session, host_id)):
            if pool.what.files and self._pools.is_active(pool.uuid):
                self._sweep(pool.uuid, Path(pool.path))

    def _sweep(self, pool: str, directory: Path) -> None:
        try:
            found = self._keeper.touch(pool, lambda: _parts(directory))
        except (DosvmError, OSError):
            return  # what cannot be reached is looked at another time
        if not found:
            return
        wanted = self._database.read(lambda session: storage.being_made(session, found))
        with contextlib.suppress(DosvmError, OSError):
            for uuid in set(found) - wanted:
                self._keeper.touch(pool, lambda uuid=uuid: volume_files.forget(directory, uuid))  # type: ignore[misc]


def _parts(directory: Path) -> list[str]:
    names = [entry.name for entry in os.scandir(directory) if entry.name.endswith(PART)]
    return [uuid for name in names if is_uuid(uuid := name.removeprefix(".").removesuffix(PART))]
