"""A task that no host has begun is taken back; what the database says already is not."""

from __future__ import annotations

import uuid

import pytest

from core.coordination import tasks
from core.errors import NotFound, Refused
from tests.fakes.office import Office, Person


def _queued(office: Office, person: Person, host_id: int, kind: str) -> str:
    actor = person.actor
    return office.sysadm.services.database.write(
        lambda session: (
            tasks.enqueue(
                session,
                [tasks.Order(kind, str(uuid.uuid4()), "web-1", actor.project_id, host_id, {})],
                account=actor.account,
                origin="",
            )[0].uuid
        )
    )


def test_what_no_host_has_begun_is_taken_back_once(office: Office) -> None:
    zhao = office.project("web", admin="zhao")
    host_id = office.host("h1")
    task = _queued(office, zhao, host_id, "machine.reboot")
    row = zhao("task.cancel", task=task)
    assert (row["state"], bool(row["finished"])) == ("cancelled", True)
    database = office.sysadm.services.database
    assert database.read(lambda session: tasks.waiting(session, host_id)) == [], "no host finds it any more"
    with pytest.raises(Refused, match="has ended"):
        zhao("task.cancel", task=task)
    assert "task.cancel" in {row["operation"] for row in office.sysadm("log.list")["rows"]}


def test_what_a_host_works_on_is_not_taken_back(office: Office) -> None:
    zhao = office.project("web", admin="zhao")
    host_id = office.host("h1")
    task = _queued(office, zhao, host_id, "machine.reset")
    services = zhao.services
    now = services.clock.now()
    assert services.database.write(lambda session: tasks.take(session, host_id, "boot", now))
    with pytest.raises(Refused, match="has begun it already"):
        zhao("task.cancel", task=task)
    assert zhao("task.show", task=task)["state"] == "running"


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [("machine.start", "Power the VM off"), ("volume.create", "Delete the volume"), ("pool.release", "ends by itself")],
)
def test_who_asked_for_something_lasting_is_told_what_to_do_instead(office: Office, kind: str, remedy: str) -> None:
    zhao = office.project("web", admin="zhao")
    task = _queued(office, zhao, office.host("h1"), kind)
    with pytest.raises(Refused, match=remedy):
        zhao("task.cancel", task=task)
    assert zhao("task.show", task=task)["state"] == "queued"


def test_somebody_elses_task_is_not_there(office: Office) -> None:
    zhao, li = office.project("web", admin="zhao"), office.project("mail", admin="li")
    task = _queued(office, zhao, office.host("h1"), "machine.reboot")
    with pytest.raises(NotFound):
        li("task.cancel", task=task)
