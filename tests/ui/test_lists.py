"""A person looks at a list: moves, searches, filters, sorts, marks, and sees what changes."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import NotFound
from dosvm_tui.settings import Settings
from tests.fakes.backend import FakeBackend
from tests.fakes.world import NASTY, ManyVms, uuid_of, vm_row, world
from tests.ui.conftest import form_of, opened, rows_are_there, screen_text, shows, still, table, typed, until

pytestmark = pytest.mark.ui


async def test_the_first_list_of_the_menu_is_open_and_has_its_rows(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        text = screen_text(pilot.app)
        assert "[1 Machines 1/3]" in text
        assert "zhao@web" in text
        assert "web-front-01" in text
        assert "● running" in text
        assert "UTC 13:04" in text
        assert " 1/40" in text


async def test_a_failed_vm_says_why_on_enter(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press(*["down"] * 5, "enter")
        await pilot.pause(0.2)
        text = screen_text(pilot.app)
        assert "VMs › web-front-06" in text
        assert "The volume local/disk1 is missing" in text
        await pilot.press("escape")
        assert table(pilot).cursor_row["name"] == "web-front-06"


async def test_typing_after_the_slash_searches_in_the_cloud(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await typed(pilot, "/front-1")
        await until(pilot, lambda: table(pilot).total == 10)
        await pilot.press("enter")
        assert "/front-1" in screen_text(pilot.app)
        assert cloud.called("vm.list")[-1]["search"] == "front-1"
        await pilot.press("escape")
        await until(pilot, lambda: table(pilot).total == 40)


async def test_keys_typed_ahead_reach_the_search_line_and_not_the_actions(cloud: FakeBackend) -> None:
    """Over a slow line `/boB` may come in one read; b and B would reboot and reset."""
    async with opened(cloud) as pilot:
        from textual import events

        for key in ("slash", "b", "o", "B"):
            pilot.app.post_message(events.Key(key, "/" if key == "slash" else key))
        await until(pilot, lambda: cloud.called("vm.list")[-1]["search"] == "boB")
        assert len(pilot.app.screen_stack) == 2


async def test_filters_are_chosen_in_a_form_and_taken_away_by_esc(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("f")
        await pilot.pause(0.1)
        form = pilot.app.screen.form
        form.rows["state"].input.put("failed")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: cloud.called("vm.list")[-1]["filters"] == {"state": "failed"})
        await until(pilot, lambda: rows_are_there(pilot.app))
        assert "State: failed" in screen_text(pilot.app)
        assert all(row["state"] == "failed" for row in [table(pilot).cursor_row])
        await pilot.press("escape")
        await until(pilot, lambda: table(pilot).total == 40)


async def test_s_sorts_by_the_next_column_and_capital_s_the_other_way(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("s")
        await until(pilot, lambda: cloud.called("vm.list")[-1]["sort"] == "name")
        await pilot.press("S")
        await until(pilot, lambda: cloud.called("vm.list")[-1]["descending"] is True)
        await until(pilot, lambda: rows_are_there(pilot.app))
        assert "Name▼" in screen_text(pilot.app)
        assert table(pilot).cursor_row["name"] == "web-front-40"


async def test_the_list_follows_the_cloud_and_the_cursor_stays_on_its_row(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("down", "down")
        cloud.rows["vm"] = [vm_row(99, name="aaa"), *cloud.rows["vm"]]
        cloud.change("vm", "web-front-01", state="stopping")
        await until(pilot, lambda: "stopping" in screen_text(pilot.app))
        assert table(pilot).cursor_row["name"] == "web-front-03"
        assert table(pilot).cursor == 3


async def test_only_one_question_for_rows_is_under_way(cloud: FakeBackend) -> None:
    cloud.delay = 0.05
    async with opened(cloud) as pilot:
        for _ in range(20):
            cloud.ring()
            await pilot.press("pagedown", "pageup")
        await pilot.pause(0.3)
        assert cloud.most_in_flight["vm.list"] == 1


async def test_fifty_thousand_vms_are_paged(cloud: FakeBackend) -> None:
    cloud.rows["vm"] = ManyVms(50_000)
    async with opened(cloud) as pilot:
        await pilot.press("end")
        await until(pilot, lambda: table(pilot).cursor_row is not None)
        assert table(pilot).cursor_row["name"] == "web-front-49999"
        await pilot.press("home", "pagedown")
        await until(pilot, lambda: rows_are_there(pilot.app))
        assert all(call["limit"] <= 300 for call in cloud.called("vm.list"))
        assert sum(call["limit"] for call in cloud.called("vm.list")) < 2000


async def test_names_are_only_names(cloud: FakeBackend) -> None:
    cloud.rows["vm"] = [vm_row(n, name=name) for n, name in enumerate(NASTY)]
    cloud.preferences = {"zhao": {"pane": "off"}}
    async with opened(cloud, size=(280, 30)) as pilot:
        await pilot.pause(0.1)
        text = screen_text(pilot.app)
        assert "[red]x" in text
        assert "'; DROP TABLE vm" in text
        assert "云" * 64 in text
        assert "[/]" in text
        assert "\u202e" not in text
        assert "\t" not in text
        from rich.cells import cell_len

        starts = {cell_len(line[: line.index("● ")]) for line in text.splitlines() if "● running" in line}
        assert len(starts) == 1, text


async def test_enter_on_the_nastiest_name_opens_its_details(cloud: FakeBackend) -> None:
    cloud.rows["vm"] = [vm_row(0, name="[red]x[/nope]")]
    async with opened(cloud) as pilot:
        await pilot.press("enter")
        await pilot.pause(0.2)
        assert "VMs › [red]x[/nope]" in screen_text(pilot.app)
        await pilot.press("o")
        await pilot.pause(0.2)
        assert "Power off: [red]x[/nope]" in screen_text(pilot.app)


async def test_related_lists_open_filtered_and_say_from_where(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "Web shop", "2")
        await pilot.press("end", "v")
        await until(pilot, lambda: rows_are_there(pilot.app) and "web: VMs" in screen_text(pilot.app))
        assert cloud.called("vm.list")[-1]["filters"] == {"project": uuid_of("web")}
        assert "Projects › web: VMs" in screen_text(pilot.app)
        await pilot.press("escape")
        assert table(pilot).cursor_row["name"] == "web"


async def test_an_empty_list_says_what_it_is_and_how_to_begin(cloud: FakeBackend) -> None:
    cloud.rows["vm"] = []
    async with opened(cloud) as pilot:
        await until(pilot, lambda: "No VMs yet. Press a to make one" in screen_text(pilot.app))


async def test_where_nothing_can_be_added_nobody_is_told_to(cloud: FakeBackend) -> None:
    """What is made from such a list would not stand in it, or the reader may make none."""
    cloud.rows["vm"] = []
    async with opened(cloud) as pilot:
        await shows(pilot, "disk1", "2")
        await shows(pilot, "No VMs yet.", "v")
        assert "Press a" not in screen_text(pilot.app), screen_text(pilot.app)
        # The form of a VM is given the instance.
        pilot.app.open_resource("instance", root=True)
        await until(pilot, lambda: rows_are_there(pilot.app))
        await shows(pilot, "No VMs yet. Press a to make one from an instance.", "v")
    async with opened(cloud, account="sysadm") as pilot:
        pilot.app.open_resource("vm", root=True)
        await until(pilot, lambda: "No VMs yet." in screen_text(pilot.app))
        assert "Press a" not in screen_text(pilot.app)


@pytest.mark.parametrize(("language", "named"), [("en", "v VMs"), ("zh_CN", "v 虚拟机")])
async def test_the_vms_of_a_volume_are_named_among_its_keys(cloud: FakeBackend, language: str, named: str) -> None:
    async with opened(cloud, settings=Settings(language=language)) as pilot:
        await pilot.press("2")
        await until(pilot, lambda: rows_are_there(pilot.app))
        for _row in range(table(pilot).total):
            await still(pilot)
            assert named in screen_text(pilot.app).splitlines()[-1]
            await pilot.press("down")


async def test_a_dead_host_is_grey_and_says_for_how_long(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "✗ down 5m 12s", "4")
        cells = table(pilot)._cells(cloud.rows["host"][2])
        assert [cell.role for cell in cells][4:8] == ["muted"] * 4


async def test_wide_terminals_show_more_columns_and_the_second_menu(cloud: FakeBackend) -> None:
    async with opened(cloud, size=(160, 48)) as pilot:
        text = screen_text(pilot.app)
        assert "Uptime" in text
        assert "Instances" in text
        await shows(pilot, "公司网站", "shift+tab", "down", "enter")


async def test_neighbours_of_the_menu_by_brackets_and_sections_by_numbers(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "公司网站", "]")
        await shows(pilot, "local", "2")
        assert "[2 Volumes 1/3]" in screen_text(pilot.app)


async def test_every_list_of_every_role_opens_at_80_columns(cloud: FakeBackend) -> None:
    from screens import registry

    for account in ("sysadm", "zhao"):
        cloud.rows.update(world())
        async with opened(cloud, account=account) as pilot:
            for section in registry.menu(pilot.app.context.role):
                for name in section.resources:
                    pilot.app.open_resource(name, root=True)
                    await pilot.pause(0.05)
                    if not registry.resource(name).single:
                        await until(pilot, lambda: rows_are_there(pilot.app))
                    lines = screen_text(pilot.app).splitlines()
                    assert len(lines) <= 24
            assert not [n for n in pilot.app._notifications if n.severity == "error"]


async def test_a_project_is_taken_out_of_its_group_on_its_own_row(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "/srv/dosvm/images", "2", "]")
        text = screen_text(pilot.app)
        rows = [line.strip(" ▸").split()[:2] for line in text.splitlines() if "/srv/dosvm/images" in line]
        assert rows == [
            ["acme", "web"],
            ["acme", "mail"],
        ]
        await shows(pilot, "Project mail is taken out of project group acme", "down", "m")
        await pilot.press("right", "enter")
        await until(pilot, lambda: cloud.called("project-group.remove-project"))
        assert cloud.called("project-group.remove-project") == [{"project_group": uuid_of("acme"), "project": "mail"}]


async def test_no_notice_lies_over_the_row_under_the_cursor_or_the_keys(cloud: FakeBackend) -> None:
    """A notice hid the last rows of a list: of what the cursor was on, one saw neither state nor load."""

    def is_seen() -> bool:
        rows = table(pilot)
        line = screen_text(pilot.app).split("\n")[rows.region.y + rows.at_line]
        return line.strip() == rows.render_line(rows.at_line).text.strip()

    async with opened(cloud) as pilot:
        for key in ("end", "home", "end"):
            await pilot.press(key)
            # Makes no sense for a VM that runs, nor for one that is off.
            await pilot.press("u")
            await until(pilot, lambda: "makes no sense" in screen_text(pilot.app) and is_seen())
            assert "All keys" in screen_text(pilot.app).split("\n")[-1]
        # The cursor moves to where notices are.
        await pilot.press("home")
        await until(pilot, is_seen)
        assert "makes no sense" in screen_text(pilot.app)


async def test_filters_that_can_fit_nothing_are_refused_at_their_field(cloud: FakeBackend) -> None:
    """A list that is empty by a slip of the pen says nothing of it."""
    cloud.answers["host.show"] = lambda host: _no_host(host)
    async with opened(cloud, account="sysadm") as pilot:
        pilot.app.open_resource("host-history", root=True)
        await until(pilot, lambda: pilot.app.screen.spec.name == "host-history" and rows_are_there(pilot.app))
        form = await form_of(pilot, "f")
        form.rows["host"].input.put("server999")
        await shows(pilot, "There is no host server999.", "ctrl+s")
        assert form.rows["host"].error
        form.rows["host"].input.put("")
        form.rows["since"].input.put("2026-11-24 12:00")
        form.rows["until"].input.put("2026-11-24 11:00")
        await shows(pilot, "The span ends before it begins.", "ctrl+s")
        assert form.rows["until"].error
        form.rows["until"].input.put("2026-11-24 12:30")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: cloud.called("host-history.list")[-1]["filters"].keys() == {"since", "until"})


def _no_host(name: str) -> Any:
    raise NotFound("There is no {kind} {name}.", field="host", kind="host", name=name)
