"""What commands tell people in text: contents, plans, samples, the log, and which option a refusal is about."""

from __future__ import annotations

import json
from collections.abc import Callable

from sqlalchemy import insert

from core.model import HostSample
from tests.architecture.world import furnish
from tests.fakes.cloud import StillCloud
from tests.fakes.office import GIB, PASSWORD, Office
from tests.unit.cli.conftest import Dosvm


def test_contents_and_plans_are_told_in_text(dosvm: Dosvm, office: Office) -> None:
    furnish(office)
    said = dosvm("project", "contents", "web")
    assert said.code == 0
    for words in ("VMs (1", "Volumes (3, ", "Images (1, ", "Administrators, who will be without", "web-secret"):
        assert words in said.out, said.out
    assert "done" not in said.out
    plan = dosvm("host", "drain-plan", "web-host")
    lines = json.loads(dosvm("host", "drain-plan", "web-host", "-o", "json").out)["lines"]
    assert len(plan.out.splitlines()) == max(1, len(lines))
    assert "done" not in plan.out
    office.sysadm("project.add", name="bare", group="web-group")
    assert dosvm("project", "contents", "bare").out == "Nothing.\n"
    assert "web-secret" in dosvm("project", "delete", "web", "--yes").err


def test_a_chart_as_a_table_has_times_and_titles(dosvm: Dosvm, office: Office) -> None:
    host = office.host("a")
    load = {"cpu_percent": 1.0, "memory_percent": 2.0, "disk_percent": 3.0, "network_rate": 4096.0}
    at = office.services.clock.now()
    office.services.database.write(lambda s: s.execute(insert(HostSample).values(host_id=host, at=at, **load)))
    head, row = dosvm("host", "chart", "a").out.splitlines()
    assert head.startswith("Time")
    assert "_" not in head
    assert "2026-01-31" in row
    assert "4.0 KiB/s" in row or "4 KiB/s" in row or "/s" in row


def test_the_log_speaks_the_readers_language_with_units(dosvm: Dosvm, office: Office) -> None:
    office.project("web", max_memory=GIB)
    office.sysadm("project.configure", project="web", max_memory=2 * GIB)
    office.sysadm("settings.edit", heartbeat_interval=15)
    office.sysadm("project.deactivate", project="web")
    rows = json.loads(dosvm("log", "list", "-o", "json").out)
    assert rows[0]["contents"]["changes"], "stored rows are raw data"
    from core.i18n import set_language
    from screens.values import Kind, show

    def told(operation: str) -> str:
        return show(next(row["contents"] for row in rows if row["operation"] == operation), Kind.CONTENTS)

    assert "1 GiB → 2 GiB" in told("project.configure").replace("1.0", "1").replace("2.0", "2")
    assert "max_" not in told("project.configure")
    assert "Heartbeat every: 2 s → 15 s" in told("settings.edit") or "2s → 15s" in told("settings.edit")
    set_language("zh_CN")
    try:
        assert "max_memory" not in told("project.configure")
        assert "Heartbeat" not in told("settings.edit")
        assert "true" not in told("project.deactivate").lower()
    finally:
        set_language("en")


def test_an_edit_is_reverted_by_a_command(dosvm: Dosvm, office: Office) -> None:
    office.user("zhao")
    office.sysadm("user.edit", user="zhao", phone="12")
    row = json.loads(dosvm("log", "list", "--limit", "1", "-o", "json").out)[0]
    assert dosvm("log", "revert", row["uuid"]).code == 0
    assert office.sysadm("user.show", user="zhao")["phone"] == ""
    again = dosvm("log", "revert", row["uuid"])
    assert (again.code, "as it was before already" in again.err) == (1, True)


def test_what_is_taken_names_its_option(dosvm: Dosvm, office: Office, file: Callable[[str, str], str]) -> None:
    values = {"display_name": "d", "kind": "volume", "value": "correct horse battery"}
    office.sysadm("secret.add", name="one", usage="vol/1", **values)
    value = file("value", "correct horse battery\n")
    said = dosvm(
        "secret", "add", "two", "--display-name", "d", "--kind", "volume", "--usage", "vol/1", "--value-file", value
    )
    assert said.err.startswith("dosvm: --usage: The usage vol/1 is taken.")
    office.user("zhao")
    said = dosvm("user", "add", "zhao", "--new-password-file", file("new", PASSWORD + "\n"))
    assert "The name zhao is taken." in said.err


def test_a_clearing_is_called_by_the_readers_time(
    dosvm: Dosvm, office: Office, cloud: StillCloud, shanghai: None
) -> None:
    office.host("h1")
    cloud.me = cloud.hosts()[0].uuid
    assert dosvm("log", "clear", "--before", "2026-01-01 08:00", "--yes", "--no-wait").out.startswith(
        "Clear 2026-01-01 08:00:00"
    )
    assert "2026-01-01 08:00:00" in dosvm("log", "list").out
    assert json.loads(dosvm("log", "list", "-o", "json").out)[0]["target"] == "2026-01-01 00:00:00 UTC"
