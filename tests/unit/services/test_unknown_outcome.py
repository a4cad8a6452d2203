"""A connection that breaks during COMMIT: what happened is said as it happened."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.orm import Session

from core.coordination.tasks import Claimed
from core.errors import DatabaseUnavailable
from tests.fakes.cloud import StillCloud
from tests.fakes.office import GIB, Office


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


class Begins:
    """Promises to begin with everything, and says with what it was told to."""

    def __init__(self) -> None:
        self.begun: list[Claimed] = []

    def promise(self, _host_id: int, _target: str) -> str:
        return "boot-1"

    def begin(self, tasks: Sequence[Claimed]) -> None:
        self.begun += tasks

    def entering(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def release(self, _promises: int, *, unsure: bool) -> None:
        """They are over."""


def test_a_task_of_an_attempt_that_was_rolled_back_is_never_begun(
    office: Office, cloud: StillCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempt met a conflict, the second lost the connection; an answer of an earlier call is known."""
    web, beginner = office.project("web", max_images=3, max_image_bytes=GIB), Begins()
    office.host("h1")
    cloud.me = next(iter(cloud.views.values())).uuid
    office.services.begins_by(beginner)
    web("image.add", name="first", file="first.raw", format="raw")
    assert len(beginner.begun) == 1
    database = office.services.database

    def conflict_and_loss(work: Callable[[Session], Any]) -> Any:
        database.read(work)
        gone: Any = SimpleNamespace(info={})
        with contextlib.suppress(AttributeError):
            work(gone)
        raise DatabaseUnavailable("connection lost")

    monkeypatch.setattr(database, "write", conflict_and_loss)
    monkeypatch.setattr(office.services, "_answered", lambda *_about: {"uuid": "known"})
    with contextlib.suppress(DatabaseUnavailable):
        web("image.add", name="second", file="second.raw", format="raw")
    assert len(beginner.begun) == 1
