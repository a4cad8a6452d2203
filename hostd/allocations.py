"""What the files of volumes take on the disk, measured now and then: guests write, and nobody says so.

Only in directories of one host, which it lists in no time; those that hosts share are measured by a refresh.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from sqlalchemy.orm import Session

from core.coordination import discovery
from core.coordination.discovery import BATCH
from core.database import Database
from core.model.base import utc_now
from core.rules.pools import DIR
from core.specs.pool import PoolOrder
from hostd import intervals
from hostd.bus import Bus
from hostd.pools import Keeper

_BLOCK = 512


class Allocations:
    """Measures the volumes of pools that are directories of this host."""

    def __init__(self, database: Database, keeper: Keeper, bus: Bus) -> None:
        self._database = database
        self._keeper = keeper
        self._bus = bus
        #: When each pool was measured, by its UUID.
        self._at: dict[str, float] = {}

    def written(self, pool: str) -> None:
        """A VM has written to a pool (its UUID): it is measured the next time it is looked at."""
        self._at.pop(pool, None)

    def look(self, pool: PoolOrder) -> int:
        """Measure a pool, unless that was done lately; how many volumes take something else now.

        Raises:
            DosvmError: its directory does not answer, or the database.
            OSError: it cannot be listed.
        """
        now = time.monotonic()
        if pool.kind != DIR or now - self._at.get(pool.uuid, -intervals.ALLOCATIONS) < intervals.ALLOCATIONS:
            return 0
        self._at[pool.uuid], at = now, utc_now()
        taken = self._keeper.touch(pool.uuid, lambda: _taken(Path(pool.path)))
        known = self._database.read(lambda session: discovery.allocations(session, pool.id))
        changed = [(row_id, taken[name]) for row_id, name, before in known if taken.get(name, before) != before]
        more = changed
        while len(more) > BATCH:
            sizes, more = dict(more[:BATCH]), more[BATCH:]
            self._database.write(lambda session, sizes=sizes: discovery.allocate(session, sizes))  # type: ignore[misc]

        def write(session: Session) -> None:
            discovery.allocate(session, dict(more))
            discovery.measured(session, pool.id, at)

        self._database.write(write)
        if changed:
            self._bus.changed({"volume"})
        return len(changed)


def _taken(directory: Path) -> dict[str, int]:
    """What each file in a directory takes on the disk, bytes."""
    with os.scandir(directory) as entries:
        files = [entry for entry in entries if not entry.name.startswith(".") and entry.is_file(follow_symlinks=False)]
    found = {}
    for entry in files:
        try:
            found[entry.name] = entry.stat(follow_symlinks=False).st_blocks * _BLOCK
        except FileNotFoundError:
            continue  # it has just been deleted
    return found
