"""A connection that breaks during COMMIT: what happened is said as it happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.orm import Session

from core.errors import DatabaseUnavailable
from tests.fakes.office import Office


@pytest.mark.parametrize("committed", [True, False])
def test_a_lost_commit_is_looked_up(office: Office, monkeypatch: pytest.MonkeyPatch, committed: bool) -> None:
    office.project("web")
    rung: list[set[str]] = []
    database, write = office.services.database, office.services.database.write

    def lossy(work: Callable[[Session], Any]) -> Any:
        if committed:
            write(work)
        else:
            database.read(work)
        raise DatabaseUnavailable("connection lost during COMMIT")

    monkeypatch.setattr(database, "write", lossy)
    monkeypatch.setattr(office.services, "_after_commit", lambda _hosts, topics: rung.append(topics))
    if committed:
        assert office.sysadm("project.edit", project="web", description="new")["description"] == "new"
        assert len(rung) == 1
    else:
        with pytest.raises(DatabaseUnavailable):
            office.sysadm("project.edit", project="web", description="new")
        assert rung == []
    monkeypatch.undo()
    assert office.sysadm("log.list", filters={"operation": "project.edit"})["total"] == int(committed)
