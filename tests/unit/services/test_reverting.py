"""Edits are taken back from the operation log: on every kind of thing that has edits, never over what came since."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.errors import Conflict, InUse, NotFound, PermissionDenied, Refused, from_wire
from core.i18n import set_language
from tests.architecture.world import furnish
from tests.fakes.clock import StillClock
from tests.fakes.office import GIB, PASSWORD, Office


@pytest.fixture
def furnished(office: Office) -> Office:
    """Projects ``web`` and ``shop``, each with one of everything."""
    furnish(office)
    return office


def newest(office: Office) -> dict[str, Any]:
    """The newest row of the log."""
    row: dict[str, Any] = office.sysadm("log.list", sort="at", descending=True, limit=1)["rows"][0]
    return row


#: The edit, of what, and with which values.
EDITS = (
    ("user.edit", "web-admin", {"account": "web-boss", "phone": "12", "description": "x"}),
    ("project.edit", "web", {"name": "site", "description": "x"}),
    ("project.configure", "web", {"max_memory": 7 * GIB, "max_vcpus": 9, "remove_admins": ["web-admin"]}),
    ("project-group.edit", "web-group", {"description": "x", "name": "g"}),
    ("host.edit", "web-host", {"name": "h", "max_vcpus": 3, "max_memory": GIB}),
    ("host-group.edit", "web-hosts", {"name": "g", "hosts": ["web-host", "shop-host"]}),
    ("pool.edit", "web-pool", {"description": "x"}),
    ("volume.edit", "web-disk", {"display_name": "盘", "description": "x"}),
    ("secret.edit", "web-secret", {"name": "s", "usage": "other", "project": ""}),
    ("settings.edit", "settings", {"heartbeat_interval": 15, "temporary_directory": "/raid/tmp"}),
)


@pytest.mark.parametrize(("operation", "name", "values"), EDITS, ids=[edit[0] for edit in EDITS])
def test_an_edit_is_reverted_by_an_edit_that_the_log_tells(
    furnished: Office, clock: StillClock, operation: str, name: str, values: dict[str, Any]
) -> None:
    sysadm = furnished.sysadm
    noun = operation.partition(".")[0]
    key = noun.replace("-", "_")
    before = sysadm(f"{noun}.show", **{key: name})
    clock.advance(60)
    sysadm(operation, **{key: name}, **values)
    row = newest(furnished)
    assert row["revertible"]
    lines = sysadm("log.revertible", log=row["uuid"])["lines"]
    back = {key: [after, was] for key, (was, after) in row["contents"]["changes"].items()}
    assert {key: both for line in lines for key, both in line["changes"].items()} == back
    clock.advance(60)
    sysadm("log.revert", log=row["uuid"])
    after = sysadm(f"{noun}.show", **{key: before["uuid"]})
    moving = {"version", "uuid", "not_taken_over_by"}
    assert {k: v for k, v in after.items() if k not in moving} == {k: v for k, v in before.items() if k not in moving}
    told = newest(furnished)
    assert (told["account"], told["operation"], told["action"], told["contents"]["operation"].partition(".")[0]) == (
        "sysadm",
        "log.revert",
        "Revert",
        noun,
    )
    assert told["contents"]["changes"] == back
    # What was put back can be put back as well, once.
    clock.advance(60)
    with pytest.raises(Refused, match="as it was before already"):
        sysadm("log.revert", log=row["uuid"])
    sysadm("log.revert", log=told["uuid"])
    assert newest(furnished)["contents"]["changes"] == row["contents"]["changes"]


def test_what_was_changed_since_is_not_overwritten_and_who_did_it_is_named(
    furnished: Office, clock: StillClock
) -> None:
    sysadm = furnished.sysadm
    sysadm("user.edit", user="web-admin", phone="1", address="here")
    clock.advance(60)
    first = newest(furnished)
    furnished.person("web-admin")("profile.edit", phone="2")
    with pytest.raises(Refused, match="web-admin changed Phone of web-admin since"):
        sysadm("log.revert", log=first["uuid"])
    assert sysadm("user.show", user="web-admin")["address"] == "here"
    clock.advance(60)
    # Their own edit of themselves is an edit as well.
    sysadm("log.revert", log=newest(furnished)["uuid"])
    assert sysadm("user.show", user="web-admin")["phone"] == "1"
    sysadm("log.revert", log=first["uuid"])
    assert sysadm("user.show", user="web-admin")["phone"] == ""


def test_fields_are_called_as_the_form_calls_them_in_the_readers_language(furnished: Office, clock: StillClock) -> None:
    web = furnished.person("web-admin")
    row = web("instance.show", instance="web-instance")
    web("instance.edit", instance="web-instance", boot_menu=True, tablet=False)
    clock.advance(60)
    with pytest.raises(Conflict) as conflict:
        web("instance.edit", instance="web-instance", vcpus=2, version=row["version"])
    with pytest.raises(Refused) as refused:
        furnished.sysadm("log.revert", log=newest(furnished)["uuid"])
    # As it comes to the reader: over the wire, and in whatever language is set there.
    conflict_there, refused_there = (from_wire(json.loads(json.dumps(e.value.to_wire()))) for e in (conflict, refused))
    assert "web-admin changed Boot menu, Tablet pointer meanwhile." in conflict_there.text()
    assert "does not have what Configuration was before" in refused_there.text()
    set_language("zh_CN")
    assert "启动菜单" in conflict_there.text()
    assert "boot_menu" not in conflict_there.text()
    assert "configuration" not in refused_there.text().lower()


def test_secrets_and_what_is_not_on_record_are_never_put_back(furnished: Office, clock: StillClock) -> None:
    sysadm = furnished.sysadm
    clock.advance(60)
    sysadm("secret.edit", secret="web-secret", value="Correct-horse-8", description="x", even_if_used=True)
    assert not newest(furnished)["revertible"], "what is always refused is not offered"
    with pytest.raises(Refused, match="does not have what Password was before"):
        sysadm("log.revert", log=newest(furnished)["uuid"])
    clock.advance(60)
    sysadm("user.set-password", user="web-admin", new_password=PASSWORD + "x", own_password=PASSWORD)
    assert not newest(furnished)["revertible"]
    with pytest.raises(Refused, match="Only edits can be reverted"):
        sysadm("log.revert", log=newest(furnished)["uuid"])
    with pytest.raises(NotFound):
        sysadm("log.revert", log="no-such-row")


def test_it_has_the_rights_and_the_rules_of_the_edit(furnished: Office, clock: StillClock) -> None:
    sysadm = furnished.sysadm
    clock.advance(60)
    furnished.person("web-admin")("image.edit", image="web-image", description="x")
    with pytest.raises(PermissionDenied, match="Only the administrators of its project may change web-image"):
        sysadm("log.revert", log=newest(furnished)["uuid"])
    with pytest.raises(PermissionDenied):
        furnished.person("web-admin")("log.revert", log=newest(furnished)["uuid"])
    clock.advance(60)
    sysadm("project.edit", project="web", name="site")
    row = newest(furnished)
    clock.advance(60)
    sysadm("project.edit", project="shop", name="web")
    with pytest.raises(Refused, match="web is taken"):
        sysadm("log.revert", log=row["uuid"])
    # Shorter days would lose what was deleted: that is asked by the edit, and refused here.
    clock.advance(60)
    sysadm("settings.edit", trash_days=0, lose=True)
    sysadm("settings.edit", trash_days=30)
    row = newest(furnished)
    furnished.user("late")
    sysadm("user.delete", user="late", own_password=PASSWORD)
    with pytest.raises(InUse, match="go for good"):
        sysadm("log.revert", log=row["uuid"])


def test_an_edit_that_changes_nothing_leaves_no_row(furnished: Office) -> None:
    sysadm = furnished.sysadm
    count = sysadm("log.list")["total"]
    sysadm("user.edit", user="web-admin", phone="")
    sysadm("project.configure", project="web", max_vcpus=sysadm("project.show", project="web")["max_vcpus"])
    sysadm("host-group.edit", host_group="web-hosts", hosts=["web-host"])
    assert sysadm("log.list")["total"] == count
