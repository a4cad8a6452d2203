"""What volumes take is measured without being asked: guests write, and nobody says so."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import update

from core.coordination.storage import load_pool
from core.model import Pool
from hostd import intervals
from hostd.allocations import Allocations
from hostd.bus import Bus
from tests.fakes import rack
from tests.fakes.office import Office

MIB = 1024**2


def test_what_a_guest_writes_is_seen_before_long(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web = rack.web(office)
    database = office.services.database
    database.write(lambda s: s.execute(update(Pool).values(path=str(tmp_path))))
    for name in ("disk", "other"):
        rack.disk(office, web, name)
        (tmp_path / name).touch()
    pool = database.read(lambda s: load_pool(s, office.sysadm("pool.show", pool="local")["uuid"]))
    assert pool is not None
    keeper: Any = SimpleNamespace(touch=lambda _pool, work: work())
    allocations = Allocations(database, keeper, Bus())
    assert web("volume.show", volume="local/disk")["measured"] is None, "nobody has ever looked"
    assert allocations.look(pool) == 0
    at = web("volume.show", volume="local/other")["measured"]
    assert at is not None, "that nothing changed was seen, and when"
    (tmp_path / "disk").write_bytes(b"x" * MIB)
    assert allocations.look(pool) == 0, "that was looked at a moment ago"
    allocations.written(pool.uuid)
    writes: list[object] = []
    write = database.write
    monkeypatch.setattr(database, "write", lambda work: writes.append(work) or write(work))  # type: ignore[func-returns-value]
    assert allocations.look(pool) == 1, "a VM with a disk there has ended"
    assert len(writes) == 1, "what changed, and when that was seen"
    monkeypatch.setattr(intervals, "ALLOCATIONS", 0.0)
    assert web("volume.show", volume="local/disk")["allocation"] >= MIB
    assert web("volume.show", volume="local/other")["measured"] > at
    (tmp_path / "other").unlink()
    assert allocations.look(pool) == 0, "that it is gone is said by a refresh"
