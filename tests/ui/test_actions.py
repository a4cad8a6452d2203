"""A person acts: by key, on one row or many, asked before harm, told how it went."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.errors import AlreadyExists, AuthenticationFailed, Conflict, NeedsConsent, NotFound, QuotaExceeded, Refused
from tests.fakes.backend import FakeBackend
from tests.fakes.world import uuid_of
from tests.ui.conftest import form_of, notices, opened, rows_are_there, screen_text, shows, table, typed, until

pytestmark = pytest.mark.ui


async def test_power_on_takes_two_keys_and_is_followed(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("down", "down", "down", "p", "enter")
        await until(pilot, lambda: cloud.called("vm.start"))
        (task,) = cloud.tasks
        await until(pilot, lambda: "1 task" in screen_text(pilot.app))
        cloud.end_task(task)
        await until(pilot, lambda: "Power on web-front-04: done." in notices(pilot))
        await until(pilot, lambda: "1 task" not in screen_text(pilot.app).splitlines()[1])


async def test_a_failed_task_says_why_and_stays_in_the_tray(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("down", "down", "down", "p", "enter")
        await until(pilot, lambda: cloud.called("vm.start"))
        (task,) = cloud.tasks
        cloud.end_task(task, error={"code": "engine", "message": "QEMU said [no].", "parameters": {}})
        await until(pilot, lambda: any("QEMU said [no]." in text for text in notices(pilot)))
        await pilot.press("f3")
        await pilot.pause(0.1)
        assert "✗ failed: QEMU said [no]." in screen_text(pilot.app)


async def test_what_a_task_found_is_told_and_stays_in_the_tray(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("down", "down", "down", "p", "enter")
        await until(pilot, lambda: cloud.called("vm.start"))
        found = {
            "message": "New: {new}, missing: {gone}, back again: {back}.",
            "parameters": {"new": 3, "gone": 1, "back": 0},
        }
        cloud.end_task(next(iter(cloud.tasks)), outcome=found)
        told = "New: 3, missing: 1, back again: 0."
        await until(pilot, lambda: any(text.endswith(f"done. {told}") for text in notices(pilot)))
        await shows(pilot, f"done: {told}", "f3")


async def test_what_was_typed_comes_back_when_its_task_fails(cloud: FakeBackend) -> None:
    cloud.answers["volume.add"] = lambda **_more: {"task": cloud.start_task("volume.create", "new"), "name": "new"}
    async with opened(cloud) as pilot:
        await shows(pilot, "disk6", "2")
        form = await form_of(pilot, "a")
        form.rows["name"].input.put("new")
        form.rows["pool"].input.put("local")
        form.rows["capacity"].input.put(10 * 1024**3)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: cloud.called("volume.add"))
        (task,) = cloud.tasks
        taken = {"code": "exists", "message": "There is a file of that name.", "field": "name", "parameters": {}}
        cloud.end_task(task, error=taken)
        await until(pilot, lambda: any("F3, then r" in text for text in notices(pilot)))
        await shows(pilot, "r: again with what was typed", "f3")
        await shows(pilot, "There is a file of that name.", "r")
        form = pilot.app.screen.form
        assert form.rows["name"].error == "There is a file of that name."
        assert form.rows["name"].has_focus_within
        form.rows["name"].input.put("newer")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: len(cloud.called("volume.add")) == 2)
        first, second = cloud.called("volume.add")
        assert second == {**first, "name": "newer"}


async def test_what_is_typed_for_an_edit_comes_back_when_its_task_fails(cloud: FakeBackend) -> None:
    cloud.answers["volume.grow"] = lambda **_more: {"task": cloud.start_task("volume.grow", "disk6")}
    async with opened(cloud) as pilot:
        await shows(pilot, "disk6", "2")
        form = await form_of(pilot, "end", "w")
        form.rows["capacity"].input.put(2 * 1024**4)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: cloud.called("volume.grow"))
        cloud.end_task(next(iter(cloud.tasks)), error={"code": "engine", "message": "No room.", "parameters": {}})
        await until(pilot, lambda: any("F3, then r" in text for text in notices(pilot)))
        await pilot.press("f3", "r")
        await until(pilot, lambda: pilot.app.screen.query("Form") and "No room." in screen_text(pilot.app))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: len(cloud.called("volume.grow")) == 2)
        assert cloud.called("volume.grow")[0] == cloud.called("volume.grow")[1]


async def test_harm_is_asked_about_and_the_focus_rests_on_no(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("b")
        await pilot.pause(0.2)
        text = screen_text(pilot.app)
        assert "The guest of web-front-01 is asked to reboot" in text
        assert "> No <" in text
        await pilot.press("enter")
        assert not cloud.called("vm.reboot")
        await pilot.press("b", "right", "enter")
        await until(pilot, lambda: len(cloud.called("vm.reboot")) == 1)


async def test_a_host_is_given_up_after_it_was_said_what_is_lost(cloud: FakeBackend) -> None:
    cloud.rows["host"][0] |= {"state": "down", "age": 5000.0}
    name = str(cloud.rows["host"][0]["name"])
    async with opened(cloud, account="sysadm") as pilot:
        await pilot.press("4")
        await until(pilot, lambda: name in screen_text(pilot.app))
        await shows(pilot, "to confirm", "home", "u")
        text = screen_text(pilot.app)
        for lost in ("2 (local, fast)", "1.5 TiB", "2 (mail-1, web-1)", "3 (mail, web, db)", "it is a new host"):
            assert lost in text, text
        assert not cloud.called("host.abandon")
        await typed(pilot, name)
        await pilot.press("enter", "enter")
        await until(pilot, lambda: cloud.called("host.abandon"))


async def test_the_gravest_need_the_name_typed(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "disk6", "2")
        await pilot.press("end", "d")
        await pilot.pause(0.1)
        await typed(pilot, "disk")
        await pilot.press("enter", "enter")
        await pilot.pause(0.1)
        assert not cloud.called("volume.delete")
        await pilot.press("d")
        await pilot.pause(0.1)
        await typed(pilot, "disk6")
        await pilot.press("enter", "enter")
        await until(pilot, lambda: cloud.called("volume.delete") == [{"volume": uuid_of("volume-6")}])


async def test_ctrl_s_sends_where_a_name_is_typed_as_in_every_form(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "disk6", "2")
        await shows(pilot, "to confirm", "end", "d")
        await typed(pilot, "disk")
        await shows(pilot, "The name is not typed as it is written.", "ctrl+s")
        assert not cloud.called("volume.delete")
        await typed(pilot, "6")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: cloud.called("volume.delete"))


async def test_what_makes_no_sense_now_is_grey_and_says_so(cloud: FakeBackend) -> None:
    async with opened(cloud, size=(160, 48)) as pilot:
        await pilot.press("u")
        assert notices(pilot) == ["Resume makes no sense for web-front-01 now. It is not suspended."]
        assert not cloud.called("vm.resume")


async def test_what_a_running_vm_uses_is_not_asked_how_large_it_shall_be(cloud: FakeBackend) -> None:
    """The form opened, and the service refused what was typed."""
    async with opened(cloud) as pilot:
        await shows(pilot, "disk2", "2")
        await pilot.press("home", "down", "w")
        await until(pilot, lambda: any("A VM that uses it is on: stop it first." in text for text in notices(pilot)))
        assert not cloud.called("volume.grow")


async def test_what_makes_no_sense_now_says_what_it_takes(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "disk6", "2")
        await pilot.press("home", "d", "m")
        assert "Instances use it: its details name them." in notices(pilot)[0]
        assert "It is no snapshot: it rests on nothing." in notices(pilot)[1]
        # The list of all keys says it too.
        await shows(pilot, "Merge (It is no snapshot: it rests on nothing.)", "?")


async def test_a_key_that_acts_on_marked_rows_is_bright_for_them(cloud: FakeBackend) -> None:
    """The row under the cursor runs; of those marked one is suspended, which Resume is for."""
    cloud.change("vm", "web-front-02", state="paused")
    async with opened(cloud, size=(160, 48)) as pilot:

        def resumes() -> bool:
            hints = pilot.app.screen.hints()  # type: ignore[attr-defined]
            return next(hint.enabled for hint in hints if hint.key == "u")

        await until(pilot, lambda: "paused" in screen_text(pilot.app))
        await pilot.press("home")
        assert not resumes()
        await pilot.press("down", "space", "home")
        assert resumes()


async def test_details_of_a_snapshot_name_it_without_its_branch(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "disk6", "2")
        await shows(pilot, "├─ disk4", "home", "t")
        await shows(pilot, "Rests on", "down", "enter")
        assert "├─" not in screen_text(pilot.app)


async def test_marked_rows_are_acted_on_together_with_a_report_for_each(cloud: FakeBackend) -> None:
    refused = Refused("The VM {name} is busy.", name="x")
    answers = iter([None, refused, None])

    def reboot(vm: str) -> dict[str, str]:
        error = next(answers)
        if error is not None:
            raise error
        return {"task": cloud.start_task("machine.reboot", vm)}

    cloud.answers["vm.reboot"] = reboot
    async with opened(cloud) as pilot:
        await pilot.press("space", "space", "down", "down", "space")
        assert "3 marked" in screen_text(pilot.app)
        await pilot.press("b")
        await pilot.pause(0.1)
        assert "web-front-01, web-front-02, web-front-05" in screen_text(pilot.app)
        assert "Each of them: The guest of ... is asked to reboot" in screen_text(pilot.app)
        await shows(pilot, "0 of 3 done, 2 under way, 1 refused", "right", "enter")
        text = screen_text(pilot.app)
        assert "The VM x is busy." in text
        assert text.count("asked for") >= 2
        (asked,) = cloud.called("vm.reboot")
        assert len(asked["vm"]) == 3
        await pilot.press("escape")
        await pilot.pause(0.1)
        assert not table(pilot).marked
        assert len(pilot.app.context.tasks.running) == 2


async def test_notices_do_not_lie_over_a_report(cloud: FakeBackend) -> None:
    """They stood over its rows or its buttons, and said of its tasks what stands in it."""
    refused = Refused("The VM {name} is busy.", name="x")
    answers = iter([None, refused])

    def reboot(vm: str) -> dict[str, str]:
        error = next(answers)
        if error is not None:
            raise error
        return {"task": cloud.start_task("machine.reboot", vm)}

    async with opened(cloud) as pilot:
        await pilot.press("down", "down", "down", "p", "enter")
        await until(pilot, lambda: cloud.called("vm.start"))
        (other,) = cloud.tasks
        pilot.app.clear_notifications()
        cloud.answers["vm.reboot"] = reboot
        await pilot.press("home", "space", "space", "b")
        await shows(pilot, "0 of 2 done, 1 under way, 1 refused", "right", "enter")
        (own,) = (task for task in cloud.tasks if task != other)
        cloud.end_task(own)
        await shows(pilot, "asked for: ● done")
        cloud.end_task(other)
        await until(pilot, lambda: not pilot.app.context.tasks.running)
        assert notices(pilot) == []
        await pilot.press("escape")
        await until(pilot, lambda: notices(pilot) == ["Power on web-front-04: done."])


async def test_a_bulk_of_which_some_make_no_sense_takes_the_others(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("space", "down", "down", "space")  # running, off
        await pilot.press("z")
        await until(pilot, lambda: len(cloud.called("vm.suspend")) == 1)


async def test_a_service_error_appears_at_its_field_and_the_form_stays(cloud: FakeBackend) -> None:
    cloud.refuse["volume.add"] = AlreadyExists("{name} is taken.", name="disk1", field="name")
    async with opened(cloud) as pilot:
        await shows(pilot, "disk6", "2")
        await pilot.press("a")
        await pilot.pause(0.1)
        await typed(pilot, "disk1")
        form = pilot.app.screen.form
        form.rows["pool"].input.put("local")
        form.rows["capacity"].input.put("10GiB")
        await shows(pilot, "disk1 is taken.", "ctrl+s")
        assert form.rows["name"].input.value == "disk1"
        assert pilot.app.focused is form.rows["name"].input
        cloud.refuse["volume.add"] = QuotaExceeded("Disk space: {left} are left.", left="3 GiB")
        await shows(pilot, "Disk space: 3 GiB are left.", "ctrl+s")
        del cloud.refuse["volume.add"]
        await pilot.press("ctrl+s")
        await until(pilot, lambda: rows_are_there(pilot.app))
        assert cloud.called("volume.add")[-1]["capacity"] == 10 * 1024**3


async def test_the_cursor_goes_to_what_was_added_unless_it_was_moved(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "disk6", "2")

        async def add(name: str) -> None:
            await pilot.press("a")
            await pilot.pause(0.1)
            await typed(pilot, name)
            form = pilot.app.screen.form
            form.rows["pool"].input.put("local")
            form.rows["capacity"].input.put("10GiB")
            await pilot.press("ctrl+s")

        def under_cursor() -> str:
            return str(pilot.app.screen.table.cursor_row["name"])

        await add("new")
        await until(pilot, lambda: pilot.app.screen.query("#pane") and under_cursor() == "new")
        await pilot.press("home")
        assert under_cursor() == "disk1"


async def test_a_form_checks_as_one_types(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "disk6", "2")
        await pilot.press("a")
        await pilot.pause(0.1)
        assert "also the file's name" in screen_text(pilot.app)
        await typed(pilot, "../etc")
        assert "beginning with a letter or digit" in screen_text(pilot.app).replace("\n", "")
        await pilot.resize_terminal(60, 20)
        await until(pilot, lambda: " digit. " in screen_text(pilot.app))
        await pilot.press("ctrl+s")
        assert not cloud.called("volume.add")


async def test_esc_never_loses_a_form_without_asking(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("a")
        await pilot.pause(0.1)
        await typed(pilot, "abc")
        await pilot.press("escape")
        await pilot.pause(0.1)
        assert "Throw it away?" in screen_text(pilot.app)
        await pilot.press("enter")
        await pilot.pause(0.1)
        assert pilot.app.screen.form.rows["name"].input.value == "abc"
        await pilot.press("escape")
        await pilot.pause(0.1)
        await pilot.press("right", "enter")
        await pilot.pause(0.1)
        assert len(pilot.app.screen_stack) == 2


async def test_an_edit_sends_only_what_was_changed_and_the_version(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "Web shop", "2")
        await shows(pilot, "Edit: web", "end", "e")
        form = pilot.app.screen.form
        form.focus_field("description")
        await pilot.pause(0.05)
        await typed(pilot, "!")
        cloud.refuse["project.edit"] = Conflict("zhao changed it meanwhile.", remedy="Look again.", field="version")
        await shows(pilot, "zhao changed it meanwhile. Look again.", "ctrl+s")
        del cloud.refuse["project.edit"]
        await pilot.press("ctrl+s")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 2)
        sent = cloud.called("project.edit")[-1]
        assert sent["version"] == 3
        assert set(sent) == {"project", "description", "version"}
        assert "Web shop" in sent["description"]


async def test_a_reference_is_picked_from_its_list(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("a")
        await pilot.pause(0.1)
        await pilot.press("tab", "f4")
        await until(pilot, lambda: rows_are_there(pilot.app) and table(pilot).total == 2)
        await pilot.press("down", "enter")
        await pilot.pause(0.1)
        value = pilot.app.screen.form.rows["instance"].input.value
        assert value in {row["name"] for row in cloud.rows["instance"]}, "people read names"
        await pilot.press("down")
        await until(pilot, lambda: rows_are_there(pilot.app))
        await pilot.press("escape")
        await pilot.pause(0.1)
        assert pilot.app.focused is pilot.app.screen.form.rows["instance"].input


async def test_enter_after_a_search_takes_the_row_under_the_cursor(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await form_of(pilot, "a")
        await pilot.press("tab", "f4")
        await until(pilot, lambda: rows_are_there(pilot.app) and table(pilot).total == 2)
        await typed(pilot, "nothing-of-this-name")
        await until(pilot, lambda: "Nothing found." in screen_text(pilot.app))
        await pilot.press("enter")
        await pilot.pause(0.1)
        assert "Nothing found." in screen_text(pilot.app), "there is nothing to take"
        await pilot.press("ctrl+u")
        await until(pilot, lambda: table(pilot).total == 2 and rows_are_there(pilot.app))
        await typed(pilot, "front")
        await until(pilot, lambda: table(pilot).total == 1 and rows_are_there(pilot.app))
        await pilot.press("ctrl+u")
        await until(pilot, lambda: table(pilot).total == 2 and rows_are_there(pilot.app))
        await typed(pilot, "front")
        await until(pilot, lambda: table(pilot).total == 1 and rows_are_there(pilot.app))
        await form_of(pilot, "enter")
        assert pilot.app.screen.form.rows["instance"].input.value == "web-front"


async def test_several_references_are_marked(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await pilot.press("4", "]")
        await until(pilot, lambda: "server185" in screen_text(pilot.app) and "all" in screen_text(pilot.app))
        await pilot.press("a")
        await pilot.pause(0.1)
        await typed(pilot, "g1")
        pilot.app.screen.form.focus_field("hosts")
        await pilot.press("f4")
        await until(pilot, lambda: bool(pilot.app.screen.query("VirtualTable")) and rows_are_there(pilot.app))
        await pilot.press("space", "space", "enter")
        await pilot.pause(0.1)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: cloud.called("host-group.add"))
        assert len(cloud.called("host-group.add")[0]["hosts"]) == 2


async def test_a_table_inside_a_form(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "公司网站", "]")
        await pilot.press("a")
        await pilot.pause(0.1)
        await typed(pilot, "web")
        await pilot.press("f8")
        await pilot.pause(0.1)
        assert "[Disks]" in screen_text(pilot.app)
        assert "+ add (a)" in screen_text(pilot.app)
        await pilot.press("a")
        await pilot.pause(0.1)
        inner = pilot.app.screen.form
        inner.rows["volume"].input.put("local/disk1")
        await pilot.press("ctrl+s")
        await pilot.pause(0.1)
        assert "local/disk1" in screen_text(pilot.app)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: cloud.called("instance.add"))
        disks = next(value for key, value in cloud.called("instance.add")[0].items() if key.startswith("disk"))
        assert disks[0]["volume"] == "local/disk1"


async def test_a_new_instance_begins_with_everything_of_the_one_under_the_cursor_but_its_name(
    cloud: FakeBackend,
) -> None:
    disks = [{"device": "cdrom", "image": "debian-12.iso"}]
    cloud.answers["instance.show"] = lambda **which: {
        **next(row for row in cloud.rows["instance"] if row["uuid"] == which["instance"]),
        "disks": disks,
    }
    async with opened(cloud) as pilot:
        await pilot.press("]")
        await until(pilot, lambda: "公司网站" in screen_text(pilot.app) and rows_are_there(pilot.app))
        name = table(pilot.app).cursor_row["name"]
        await form_of(pilot, "n")
        assert f"Add from this one: {name}" in screen_text(pilot.app)
        assert "2 GiB" in screen_text(pilot.app)
        await typed(pilot, "another")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: cloud.called("instance.add"))
    (sent,) = cloud.called("instance.add")
    assert (sent["name"], sent["vcpus"], sent["memory"]) == ("another", 2, 2 * 1024**3)
    assert sent["disks"][0]["image"] == "debian-12.iso"
    assert not {"uuid", "version", "instance"} & set(sent)


async def test_nothing_is_copied_where_no_row_is(cloud: FakeBackend) -> None:
    cloud.rows["instance"] = []
    async with opened(cloud) as pilot:
        await shows(pilot, "No instances yet.", "]")
        await pilot.press("n")
        await pilot.pause(0.2)
        assert not pilot.app.screen.query("Form")


async def test_fields_that_do_not_apply_are_not_there(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "disk6", "2")
        await pilot.press("a")
        await pilot.pause(0.1)
        assert "Compatibility" in screen_text(pilot.app)
        pilot.app.screen.form.focus_field("format")
        await pilot.press("right")
        await pilot.pause(0.1)
        assert "Compatibility" not in screen_text(pilot.app)


async def test_secrets_are_typed_twice_and_shown_never(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "赵小明", "5")
        await pilot.press("p")
        await pilot.pause(0.1)
        await typed(pilot, "Zha0-secret-9")
        await pilot.press("tab")
        await typed(pilot, "newsecret1")
        await pilot.press("tab")
        await typed(pilot, "newsecret2")
        assert "The two are not the same." in screen_text(pilot.app)
        assert "secret" not in screen_text(pilot.app)
        await pilot.press("backspace", "1", "ctrl+s")
        await until(pilot, lambda: cloud.passwords["zhao"] == "newsecret1")


async def test_rows_are_written_to_a_file(cloud: FakeBackend) -> None:
    cloud.rows["vm"][0]["name"] = "=cmd()"
    async with opened(cloud) as pilot:
        await pilot.press("x")
        await pilot.pause(0.1)
        form = pilot.app.screen.form
        form.rows["file"].input.put("../../etc/x")
        await shows(pilot, "must be inside your home directory", "ctrl+s")
        form.rows["file"].input.put("vms")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: any("40 rows written to" in text for text in notices(pilot)))
        with (Path.home() / "vms.csv").open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 40
        assert rows[0]["Name"] == "'=cmd()"
        assert rows[1]["State"] == "running"
        assert rows[1]["Memory [B]"].isdigit()
        await pilot.press("x")
        await pilot.pause(0.1)
        form = pilot.app.screen.form
        form.rows["format"].input.put("json")
        form.rows["file"].input.put("vms")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: (Path.home() / "vms.json").exists())
        assert json.loads((Path.home() / "vms.json").read_text())[0]["name"] == "=cmd()"


async def test_yaml_help_and_all_keys(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "uuid: ", "y")
        await pilot.press("escape", "f1")
        await pilot.pause(0.1)
        assert "A VM is one machine made from an instance." in screen_text(pilot.app)
        await pilot.press("escape", "?")
        await pilot.pause(0.1)
        text = screen_text(pilot.app)
        assert "Power on" in text
        assert "sort by the next column" in text


async def test_the_logs_are_cleared_after_it_was_said_how_many_rows_go(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        pilot.app.open_resource("log", root=True)
        await until(pilot, lambda: rows_are_there(pilot.app))
        await shows(pilot, "The last hour stays", "d")
        await typed(pilot, "soon")
        await shows(pilot, "is not a time", "ctrl+s")
        await pilot.press("home", "ctrl+k")
        await typed(pilot, "2026-01-01 08:00")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "1197 operations and 312 logins before 2026-01-01 08:00" in flat(pilot.app))
        await pilot.press("enter")
        assert not cloud.called("log.clear"), "the focus rests on No"
        await until(pilot, lambda: bool(pilot.app.screen.query("Form")))
        await until(pilot, lambda: pilot.app.screen.form.rows["before"].input.value == "2026-01-01 08:00")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "1197 operations and 312 logins before 2026-01-01 08:00" in flat(pilot.app))
        await pilot.press("right", "enter")
        await until(pilot, lambda: cloud.called("log.clear"))
        before = cloud.called("log.clear")[-1]["before"]
        assert datetime.fromisoformat(before).replace(tzinfo=UTC).astimezone().strftime("%H:%M") == "08:00"
        assert cloud.called("log.clearable")[-1]["before"] == before


async def test_logs_are_filtered_by_a_time_typed_as_people_say_it(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        pilot.app.open_resource("log", root=True)
        await until(pilot, lambda: rows_are_there(pilot.app))
        await pilot.press("f")
        await pilot.pause(0.2)
        await typed(pilot, "zha")
        await pilot.press("tab")
        await typed(pilot, "-7d")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "since" in cloud.called("log.list")[-1]["filters"])
        filters = cloud.called("log.list")[-1]["filters"]
        assert filters["account"] == "zha"
        back = datetime.now(UTC).replace(tzinfo=None) - datetime.fromisoformat(filters["since"])
        assert timedelta(days=6, hours=22) < back < timedelta(days=7, hours=2)


def flat(app: Any) -> str:
    """What is on the screen, as one line."""
    return " ".join(screen_text(app).replace("│", " ").split())


async def test_what_another_instance_loses_is_asked_by_name_and_sent_only_after_a_yes(cloud: FakeBackend) -> None:
    loss = {
        "message": "{name} is used by instance {instance}.",
        "parameters": {"name": "local/disk1", "instance": "mail-store"},
    }
    refusal = NeedsConsent(
        "{losses} A disk that is written to belongs to one instance.",
        field="disks", argument="move", answer="Move here", question="{losses} Move it here?", losses=[loss],
        agreed=["disk1 mail-store"],
    )  # fmt: skip
    cloud.refuse["instance.add"] = refusal
    async with opened(cloud) as pilot:
        await shows(pilot, "web-front", *":instance", "enter")
        await shows(pilot, "Add: instance", "a")
        await typed(pilot, "shop")
        form = pilot.app.screen
        await pilot.press("ctrl+s")
        await until(
            pilot, lambda: "local/disk1 is used by instance mail-store. Move it here?" in screen_text(pilot.app)
        )
        assert "Move here" in screen_text(pilot.app)
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is form)
        assert len(cloud.called("instance.add")) == 1, "no is no"
        await shows(pilot, "Move it here?", "ctrl+s")
        del cloud.refuse["instance.add"]
        await pilot.press("tab", "enter")
        await until(pilot, lambda: len(cloud.called("instance.add")) == 3)
        assert [call.get("move") for call in cloud.called("instance.add")] == [None, None, ["disk1 mail-store"]]


async def test_delete_takes_every_marked_user_and_asks_for_the_password_once(cloud: FakeBackend) -> None:
    cloud.rows["user"] += [{**cloud.rows["user"][0], "uuid": uuid_of(n), "name": n} for n in ("li", "qian", "sysadm")]
    wrong = AuthenticationFailed("The password is wrong.", field="own_password")
    cloud.refuse["user.delete"] = wrong
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "mueller")
        table(pilot).mark([row for row in cloud.rows["user"] if row["name"] in ("li", "qian", "sysadm")])
        await shows(pilot, "3 marked")
        form = await form_of(pilot, "home", "d")
        text = screen_text(pilot.app)
        assert "2 at once: li, qian." in text
        assert "Left out (1): sysadm (The system administrator manages itself: see the" in text
        form.rows["own_password"].input.put("wrong")
        await shows(pilot, "The password is wrong.", "ctrl+s")
        form = pilot.app.screen.form
        assert form.rows["own_password"].error == "The password is wrong."
        assert len(cloud.called("user.delete")) == 1, "the second would be refused for the same reason"
        del cloud.refuse["user.delete"]
        form.rows["own_password"].input.put("right")
        await shows(pilot, "2 of 2 done, 0 refused, 1 left out", "ctrl+s")
        assert "left out: The system administrator manages itself" in screen_text(pilot.app)
        assert "✓ done" in screen_text(pilot.app)
        pilot.app.choose_theme("plain")
        await until(pilot, lambda: "* done" in screen_text(pilot.app))
        assert "x done" not in screen_text(pilot.app), "x is the sign of what failed there"
        sent = cloud.called("user.delete")[1:]
        assert [one["user"] for one in sent] == [uuid_of("li"), uuid_of("qian")]
        assert {one["own_password"] for one in sent} == {"right"}


@pytest.mark.parametrize(
    ("area", "names"), [("secret", ("iscsi-189", "mail-key")), ("host-group", ("fast", "slow")), ("image", ("a", "b"))]
)
async def test_delete_takes_what_is_marked_in_every_list(cloud: FakeBackend, area: str, names: tuple[str, ...]) -> None:
    """What is gravest takes the number to be typed, where a single one takes its name."""
    first = cloud.rows[area][0]
    if not any(row["name"] == names[0] for row in cloud.rows[area]):
        free = {"projects": [], "instances": []}
        free = {key: value for key, value in free.items() if key in first}
        cloud.rows[area] += [first | free | {"name": name, "uuid": uuid_of(name)} for name in names]
    async with opened(cloud, account="zhao" if area == "image" else "sysadm") as pilot:
        pilot.app.open_resource(area)
        await until(pilot, lambda: rows_are_there(pilot.app) and pilot.app.screen.spec.name == area)
        table(pilot).mark([row for row in cloud.rows[area] if row["name"] in names])
        await pilot.press("d")
        await shows(pilot, f"2 at once: {', '.join(names)}.")
        assert not cloud.called(f"{area}.delete")
        if area == "image":
            await shows(pilot, "Type 2 to confirm")
            await pilot.press("2", "enter", "enter")
        else:
            await pilot.press("right", "enter")
        await until(pilot, lambda: len(cloud.called(f"{area}.delete")) == 2)


async def test_every_one_of_many_can_be_read_before_they_are_deleted(cloud: FakeBackend) -> None:
    """Eight were named, and the others counted: nobody could read what was destroyed for good."""
    first = cloud.rows["volume"][0]
    names = [f"data-{number:02}" for number in range(40)]
    free = {**first, "instances": [], "vms": [], "snapshots": 0, "backing": None, "own": True}
    cloud.rows["volume"] = [
        {**free, "uuid": uuid_of(name), "name": name, "reference": f"local/{name}"} for name in names
    ]
    async with opened(cloud) as pilot:
        await shows(pilot, "data-00", "2")
        await pilot.press("*")
        await shows(pilot, "40 at once (PageUp and PageDown scroll):", "d")
        seen = screen_text(pilot.app)
        assert "data-39" not in seen
        for _page in range(5):
            await pilot.press("pagedown")
            seen += screen_text(pilot.app)
        assert [name for name in names if name not in seen] == []
        assert "iSCSI" not in seen, "these are files"
        assert "Type 40 to confirm" in seen


async def test_a_title_is_edited_as_the_details_show_it_and_left_alone_when_it_stays(cloud: FakeBackend) -> None:
    pool = "0d5a7b3e-1111-4222-8333-444455556666"
    row = cloud.rows["volume"][0]
    cloud.rows["volume"] = [{**row, "own": True, "display_name": f"found.img-{pool}"}]
    async with opened(cloud) as pilot:
        await shows(pilot, str(row["name"]), "2")
        form = await form_of(pilot, "e")
        assert form.rows["display_name"].input.value == "found.img"
        form.rows["description"].input.put("looked at")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: cloud.called("volume.edit"))
        assert "display_name" not in cloud.called("volume.edit")[0]


@pytest.mark.parametrize("account", ["zhao", "sysadm"])
async def test_what_nobody_has_accepted_says_so_at_each_key(cloud: FakeBackend, account: str) -> None:
    row = cloud.rows["volume"][0]
    own = account == "sysadm"
    cloud.rows["volume"] = [{**row, "state": "foreign", "instances": [], "snapshots": 0, "own": own}]
    async with opened(cloud, account=account) as pilot:
        pilot.app.open_resource("volume", root=True)  # type: ignore[attr-defined]
        await until(pilot, lambda: str(row["name"]) in screen_text(pilot.app))
        await pilot.press("w", "m")
        said = notices(pilot)
        assert [one.count("the system administrator accepts it first (c)") for one in said] == [1, 1]


async def test_projects_are_deleted_together_after_it_was_said_what_hangs_on_each(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "Web shop", "2")
        await shows(pilot, "3 marked", "*")
        await shows(pilot, "3 at once: ", "d")
        await until(pilot, lambda: len(cloud.called("project.contents")) == 3)
        form = pilot.app.screen.form
        assert "web:\n" in form.screen._warning()
        assert "Type 3 to confirm:" in screen_text(pilot.app)
        assert not cloud.called("project.delete")


async def test_of_how_many_it_is_not_said_what_hangs_on_them_is_read_without_scrolling(cloud: FakeBackend) -> None:
    row = cloud.rows["project"][0]
    cloud.rows["project"] = [{**row, "name": f"p{n:02}", "uuid": uuid_of(f"p{n}")} for n in range(11)]
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "p10", "2")
        await shows(pilot, "11 marked", "*")
        await shows(pilot, "11 at once", "d")
        await until(pilot, lambda: len(cloud.called("project.contents")) == 8)
        shown = " ".join(screen_text(pilot.app).replace("│", " ").split())
        assert "said of the first 8, and not of 3 more" in shown


async def test_a_picker_of_disks_says_which_volumes_snapshots_rest_on(cloud: FakeBackend) -> None:
    """They cannot be written, and that was heard of when the form was sent."""
    async with opened(cloud) as pilot:
        await shows(pilot, "公司网站", "]")
        outer = await form_of(pilot, "a")
        outer.focus_field("disks")
        await pilot.pause(0.05)
        await form_of(pilot, "a")
        await pilot.press("tab", "f4")
        await until(pilot, lambda: bool(pilot.app.screen.query("PickTable")) and rows_are_there(pilot.app))
        assert "Snapshots" in screen_text(pilot.app)
        warned = "Snapshots rest on it: it can be read, and not written."
        assert table(pilot).cursor_row["snapshots"]
        await until(pilot, lambda: warned in screen_text(pilot.app))
        await pilot.press("down")
        assert not table(pilot).cursor_row["snapshots"]
        await until(pilot, lambda: warned not in screen_text(pilot.app))


async def test_volumes_and_vms_lead_to_each_other(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "l Volumes")
        await pilot.press("l")
        await until(pilot, lambda: cloud.called("volume.list")[-1:] and cloud.called("volume.list")[-1]["filters"])
        assert cloud.called("volume.list")[-1]["filters"] == {"vm": cloud.rows["vm"][0]["uuid"]}
        await shows(pilot, "disk1", "2")
        volume = table(pilot).cursor_row["uuid"]
        await pilot.press("v")
        await until(pilot, lambda: cloud.called("vm.list")[-1]["filters"] == {"volume": volume})
        await shows(pilot, "disk1: VMs")


async def test_what_acts_on_one_row_alone_says_so_when_others_are_marked(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "Web shop", "2")
        await shows(pilot, "3 marked", "*")
        await form_of(pilot, "end", "e")
        await shows(pilot, "This is for web alone; the 2 others that are marked stay")


async def test_rows_that_an_action_makes_no_sense_for_are_named_with_why(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        # Running, and off.
        await pilot.press("space", "down", "down", "space")
        await shows(pilot, "Left out (1): web-front-04 (It does not run).", "b")
        await shows(pilot, "0 of 1 done, 1 under way, 0 refused, 1 left out", "right", "enter")
        assert "left out: It does not run." in screen_text(pilot.app)


async def test_of_a_row_that_went_meanwhile_its_name_is_said(cloud: FakeBackend) -> None:
    """Operations are told its UUID, which nobody reads."""
    async with opened(cloud) as pilot:
        first, second = (row["uuid"] for row in cloud.rows["vm"][:2])
        cloud.refuse["vm.suspend"] = NotFound("There is no {kind} {name}.", field="vm", kind="VM", name=first)
        await pilot.press("z")
        await until(pilot, lambda: "There is no VM web-front-01 any more." in notices(pilot))
        del cloud.refuse["vm.suspend"]

        def suspend(*, vm: str) -> object:
            raise NotFound("There is no {kind} {name}.", field="vm", kind="VM", name=vm)

        cloud.answers["vm.suspend"] = suspend
        await shows(pilot, "There is no VM web-front-02 any more.", "space", "space", "z")
        assert second not in screen_text(pilot.app)
