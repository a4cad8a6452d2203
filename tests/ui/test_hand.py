"""The hand: marks over pages, a report that goes on, files, the clipboard, the guide, the palette, nothing lost."""

from __future__ import annotations

import csv
import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DosvmError, Refused
from screens import registry
from screens.generic.cells import cell
from screens.generic.copying import copyables
from screens.generic.export import Wish, Writer, csv_cell, csv_lines, target
from screens.special import guide
from tests.fakes.backend import FakeBackend
from tests.fakes.world import ManyVms, vm_row
from tests.ui.conftest import form_of, notices, opened, rows_are_there, screen_text, shows, table, typed, until

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ui = pytest.mark.ui
HOME_EXISTS = "exists already. Write over it?"


# -- marks and the report


@ui
async def test_the_star_marks_all_that_were_found_not_only_what_is_on_screen(cloud: FakeBackend) -> None:
    cloud.rows["vm"] = ManyVms(2500)
    async with opened(cloud) as pilot:
        await shows(pilot, "2500 marked", "*")
        assert len({row["uuid"] for row in table(pilot).marked}) == 2500
        await pilot.press("*")
        await until(pilot, lambda: "marked" not in screen_text(pilot.app))


@ui
async def test_marks_stay_when_one_searches_for_something_else(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("space")
        await typed(pilot, "/front-2")
        await pilot.press("enter")
        await until(pilot, lambda: table(pilot).total == 10)
        await pilot.press("*")
        await until(pilot, lambda: not table(pilot).marked, 2)
        await shows(pilot, "10 marked", "*")


@ui
async def test_what_was_refused_is_tried_again_and_the_others_are_followed(cloud: FakeBackend) -> None:
    busy = {"yes": True}

    def reboot(vm: str) -> dict[str, str]:
        if busy["yes"] and vm == cloud.rows["vm"][1]["uuid"]:
            raise Refused(
                "The VM is busy with something of a very long name that no line of a table can show whole: {n}.",
                n="THE END",
            )
        return {"task": cloud.start_task("machine.reboot", vm)}

    cloud.answers["vm.reboot"] = reboot
    async with opened(cloud) as pilot:
        await pilot.press("space", "space", "b")
        await pilot.pause(0.1)
        await shows(pilot, "0 of 2 done, 1 under way, 1 refused", "right", "enter")
        await until(pilot, lambda: "asked for: ● running" in screen_text(pilot.app))
        table(pilot).go_to("1")
        await until(pilot, lambda: "THE END" in screen_text(pilot.app))
        cloud.end_task(next(iter(cloud.tasks)))
        await until(pilot, lambda: "asked for: ● done" in screen_text(pilot.app))
        busy["yes"] = False
        await pilot.click("#again")
        await until(pilot, lambda: "1 of 2 done, 1 under way, 0 refused" in screen_text(pilot.app))
        assert cloud.called("vm.reboot")[-1] == {"vm": cloud.rows["vm"][1]["uuid"]}, "the one that was refused alone"
        assert len(pilot.app.context.tasks.running) == 1
        # What failed later is no more done than what was refused.
        cloud.end_task(list(cloud.tasks)[-1], {"message": "The guest does not listen.", "parameters": {}})
        await until(pilot, lambda: "1 of 2 done, 1 failed, 0 refused" in screen_text(pilot.app))
        assert "The guest does not listen." in screen_text(pilot.app)
        await pilot.click("#again")
        await until(pilot, lambda: "1 of 2 done, 1 under way, 0 refused" in screen_text(pilot.app))
        assert cloud.called("vm.reboot")[-1] == {"vm": cloud.rows["vm"][1]["uuid"]}, "the one that failed alone"
        cloud.end_task(list(cloud.tasks)[-1])
        await until(pilot, lambda: len(pilot.app.screen_stack) == 2)


@ui
async def test_a_task_that_waits_is_taken_back_from_the_tray(cloud: FakeBackend) -> None:
    def cancel(task: str) -> dict[str, Any]:
        cloud.tasks[task] = {**cloud.tasks[task], "state": "cancelled"}
        cloud.ring()
        return dict(cloud.tasks[task])

    cloud.answers["task.cancel"] = cancel
    async with opened(cloud) as pilot:
        await pilot.press("b", "right", "enter")
        await until(pilot, lambda: cloud.tasks)
        (task,) = cloud.tasks
        await shows(pilot, "Enter shows it.", "f3")
        assert "c takes it back" not in screen_text(pilot.app), "it runs already"
        cloud.tasks[task]["state"] = "queued"
        cloud.ring()
        await until(pilot, lambda: "c takes it back" in screen_text(pilot.app))
        await shows(pilot, "What was asked of web-front-01 is taken back", "c")
        await shows(pilot, "○ cancelled", "right", "enter")
        assert not pilot.app.context.tasks.running


# -- files


@ui
async def test_a_file_that_is_there_is_written_over_only_when_one_says_so(cloud: FakeBackend) -> None:
    path = Path.home() / "vms.csv"
    path.write_text("mine")
    async with opened(cloud) as pilot:
        await pilot.press("x")
        await pilot.pause(0.1)
        pilot.app.screen.form.rows["file"].input.put("vms")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: HOME_EXISTS in screen_text(pilot.app))
        await pilot.press("enter")
        await pilot.pause(0.1)
        assert path.read_text() == "mine"
        await pilot.press("x")
        await pilot.pause(0.1)
        pilot.app.screen.form.rows["file"].input.put("vms")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: HOME_EXISTS in screen_text(pilot.app))
        await pilot.press("right", "enter")
        await until(pilot, lambda: any("40 rows written" in text for text in notices(pilot)))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [entry.name for entry in Path.home().iterdir() if ".part" in entry.name] == []


@ui
async def test_marked_rows_and_shown_columns_are_written_alone(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("space", "space", "x")
        await pilot.pause(0.1)
        form = pilot.app.screen.form
        form.rows["columns"].input.put("shown")
        form.rows["file"].input.put("some")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: any("2 rows written" in text for text in notices(pilot)))
        with (Path.home() / "some.csv").open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        assert [row["Name"] for row in rows] == ["web-front-01", "web-front-02"]
        assert "Uptime [s]" not in rows[0]


@ui
@pytest.mark.parametrize("account", ["sysadm", "zhao"])
async def test_a_file_has_each_column_of_the_role_once_under_its_title(cloud: FakeBackend, account: str) -> None:
    async with opened(cloud, account=account) as pilot:
        pilot.app.open_resource("vm", root=True)
        await until(pilot, lambda: pilot.app.screen.query("VirtualTable") and pilot.app.screen.spec.name == "vm")
        form = await form_of(pilot, "x")
        form.rows["file"].input.put("vms")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: (Path.home() / "vms.csv").exists())
        with (Path.home() / "vms.csv").open(newline="", encoding="utf-8-sig") as file:
            titles = next(csv.reader(file))
    assert len(titles) == len(set(titles))
    assert {"Name", "Power", "Memory [B]", "Created [UTC]"} <= set(titles)
    assert ("Project" in titles) == (account == "sysadm"), "who manages one reads no other"


@ui
async def test_a_long_file_is_stopped_and_leaves_nothing(cloud: FakeBackend) -> None:
    cloud.rows["vm"] = ManyVms(50_000)
    async with opened(cloud) as pilot:
        await pilot.press("x")
        await pilot.pause(0.1)
        pilot.app.screen.form.rows["file"].input.put("many")
        cloud.delay = 0.1
        await shows(pilot, "/ 50000", "ctrl+s")
        await pilot.press("escape")
        await until(pilot, lambda: "Stopped; nothing was written." in notices(pilot))
        cloud.delay = 0.0
        await until(pilot, lambda: not [entry for entry in Path.home().iterdir() if "many" in entry.name])


def _wish(path: Path, form: str) -> Wish:
    spec = registry.resource("vm")
    return Wish(spec, path, form, spec.columns, {})


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_row_that_moved_to_the_next_page_is_written_once(tmp_path: Path, form: str) -> None:
    rows = [vm_row(n) for n in range(30)]
    path = tmp_path / f"x.{form}"
    writer = Writer(_wish(path, form))
    writer.add(rows[:10])
    writer.add(rows[9:20])
    writer.add(rows[19:])
    assert not path.exists(), "not before it is whole"
    writer.finish(replace=False)
    text = path.read_text(encoding="utf-8-sig")
    key, found = ("name", json.loads(text)) if form == "json" else ("Name", csv.DictReader(text.splitlines()))
    names = [row[key] for row in found]
    assert names == [row["name"] for row in rows]
    assert writer.count == 30


def test_a_file_that_appeared_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    writer = Writer(_wish(path, "csv"))
    path.write_text("theirs")
    with pytest.raises(DosvmError, match="exists already"):
        writer.finish(replace=False)
    writer.give_up()
    assert path.read_text() == "theirs"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.csv"]


@given(st.text() | st.lists(st.text()) | st.integers() | st.none())
def test_no_cell_is_a_formula_to_a_spreadsheet(value: Any) -> None:
    (line,) = (
        csv.reader([csv_lines([[csv_cell(value), "end"]]).removesuffix("\r\n")])
        if "\n" not in str(value) and "\r" not in str(value)
        else [["", ""]]
    )
    assert not line[0].startswith(("=", "+", "@", "\t", "\r", "＝", "＋", "－", "＠"))
    assert not line[0].startswith("-") or isinstance(value, int)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "~/../../x", ""])
def test_files_stay_in_the_home_directory(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(DosvmError, match="inside your home"):
        target(name, "csv")


# -- the clipboard


@ui
async def test_a_cell_is_copied_and_shown_for_terminals_without_a_clipboard(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "Copy: web-front-01", "Y")
        table(pilot).go_to("screen")
        await pilot.pause(0.05)
        assert screen_text(pilot.app).count("192.168.7.1:5901") >= 2
        await pilot.press("enter")
        await until(pilot, lambda: "Copied: Screen." in notices(pilot))
        assert pilot.app.clipboard == "192.168.7.1:5901"


@pytest.mark.parametrize("name", registry.NAMES)
def test_what_is_copied_of_a_cell_is_what_stands_there_and_no_uuid(name: str) -> None:
    spec, cloud = registry.resource(name), FakeBackend()
    for role in spec.roles:
        for row in cloud.rows.get(name, []):
            shown = {column.key: cell(column, row).text for column in spec.columns}
            for one in copyables(spec, role, spec.columns, [row]):
                if one.key.startswith("*"):
                    continue
                assert not UUID.search(one.text), (one.label, one.text)
                assert one.text.split("\n")[0] in shown[one.key] or len(shown[one.key]) < len(one.text)


@ui
async def test_marked_rows_are_copied_together(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("space", "space", "Y", "enter")
        await until(pilot, lambda: pilot.app.clipboard == "web-front-01\nweb-front-02")


# -- the guide


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_the_guide_has_a_section_on_every_list(language: str) -> None:
    names = {name for role in registry.MENUS for section in registry.menu(role) for name in section.resources}
    assert {name for name in names if not guide.about(name, language)} == set()


def test_sections_are_told_apart_and_read_as_text() -> None:
    facts = guide.about("vm", "en")
    said = [fact.label or fact.value for fact in facts]
    assert said[0] == "VMs"
    assert not any("`" in text or "**" in text or "<!--" in text for text in said)
    assert "Instances" not in said


@ui
async def test_f1_shows_the_guide_on_this_list_and_finds_words_in_it(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "To make one, press a and choose an instance.", "f1")
        await typed(pilot, "/write the whole screen")
        await until(pilot, lambda: "line 1 of 1" in screen_text(pilot.app))
        assert "Ctrl+L" in screen_text(pilot.app)
        await pilot.press("enter", "escape")
        await pilot.pause(0.05)
        await pilot.press("escape")
        await pilot.pause(0.05)
        assert len(pilot.app.screen_stack) == 2


@ui
async def test_n_goes_through_what_was_found(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("?")
        await pilot.pause(0.1)
        await typed(pilot, "/the")
        await shows(pilot, "line 2 of", "enter", "n")
        await pilot.press("N", "N")
        await pilot.pause(0.05)
        text = screen_text(pilot.app)
        last = text.split("line ")[1].split(";")[0]
        assert last.split(" of ")[0] == last.split(" of ")[1], "before the first comes the last"
        await typed(pilot, "/zzz")
        await until(pilot, lambda: "zzz is not there." in screen_text(pilot.app))


# -- the palette


@ui
async def test_any_action_is_found_and_its_object_picked(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("ctrl+p")
        await typed(pilot, "grow")
        await until(pilot, lambda: "Grow: volume ..." in screen_text(pilot.app))
        await pilot.press("enter")
        await until(pilot, lambda: rows_are_there(pilot.app) and "disk6" in screen_text(pilot.app))
        await shows(pilot, "Grow: disk6", "end", "enter")


@ui
async def test_tab_shows_what_can_be_done_with_an_object_found_by_name(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("ctrl+p")
        await typed(pilot, "front-07")
        await until(pilot, lambda: "Tab shows what can be done with it." in screen_text(pilot.app))
        await shows(pilot, "Reboot: web-front-07", "tab")
        await typed(pilot, "reboot")
        await shows(pilot, "The guest of web-front-07 is asked to reboot", "enter")


# -- forms


@ui
async def test_leaving_with_a_form_half_typed_is_asked_about(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("a")
        await pilot.pause(0.1)
        await typed(pilot, "abc")
        await shows(pilot, "Leave, and throw it away?", "ctrl+q")
        await pilot.press("ctrl+q", "enter")
        await pilot.pause(0.1)
        assert pilot.app.is_running
        assert pilot.app.screen.form.rows["name"].input.value == "abc"
        await pilot.press("ctrl+q")
        await pilot.pause(0.1)
        await pilot.press("right", "enter")
        await until(pilot, lambda: pilot.app._exit)


@ui
async def test_ctrl_z_gives_a_field_back_what_it_began_with(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "Edit:", "e")
        form = pilot.app.screen.form
        began = form.rows["display_name"].input.value
        form.focus_field("display_name")
        await pilot.pause(0.05)
        await typed(pilot, "xyz")
        assert form.rows["display_name"].input.value == "xyz"
        await pilot.press("ctrl+z")
        await pilot.pause(0.05)
        assert form.rows["display_name"].input.value == began
        assert not form.dirty


@ui
async def test_a_name_that_is_taken_is_said_while_one_types_and_blocks_nothing(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await pilot.press("a")
        await pilot.pause(0.1)
        await typed(pilot, "mueller")
        await until(pilot, lambda: "The name mueller is taken." in screen_text(pilot.app))
        await typed(pilot, "2")
        await until(pilot, lambda: "is taken" not in screen_text(pilot.app))
        questions = len(cloud.called("user.list"))
        cloud.delay = 0.2
        await typed(pilot, "3456")
        assert pilot.app.screen.form.rows["account"].input.value == "mueller23456"
        await pilot.pause(1.0)
        assert len(cloud.called("user.list")) <= questions + 4


async def test_a_new_instance_begins_with_a_screen(cloud: FakeBackend) -> None:
    """Almost everybody wants one, and forgot the panel; d takes it out."""
    async with opened(cloud) as pilot:
        await pilot.press("]")
        await until(pilot, lambda: "web-front" in screen_text(pilot.app))
        await pilot.press("a")
        await until(pilot, lambda: bool(pilot.app.screen.query("Form")))
        form = pilot.app.screen.form  # type: ignore[attr-defined]
        form.rows["name"].input.put("new")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: cloud.called("instance.add"))
        assert [screen["type"] for screen in cloud.called("instance.add")[0]["graphics"]] == ["vnc"]


def test_the_guide_shows_no_signs_of_markdown_but_those_that_people_type() -> None:
    assert guide._plain("**Marks**: *Allocated* is `*`, 实际占用*已分配*的; `a * b`") == (
        "Marks: Allocated is *, 实际占用已分配的; a * b"
    )
