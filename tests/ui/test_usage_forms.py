"""Projects, hosts and groups are set up in forms: sets of names, values held against what is there."""

from __future__ import annotations

import re
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.fakes.backend import FakeBackend
from tests.fakes.world import GIB, uuid_of
from tests.ui.conftest import opened, screen_text, shows, typed, until

pytestmark = pytest.mark.ui


async def configure(pilot: Pilot[Any], project: str = "web") -> None:
    """Open the form of a project's quotas."""
    await shows(pilot, "Web shop", "2")
    await shows(pilot, "Most instances", "end" if project == "web" else "home", "c")


def free_user(name: str) -> dict[str, Any]:
    return {**FakeBackend().rows["user"][0], "uuid": uuid_of(name), "name": name, "project": None}


async def test_admins_are_picked_from_those_who_manage_nothing_and_taken_out(cloud: FakeBackend) -> None:
    cloud.rows["user"].append(free_user("li"))
    async with opened(cloud, account="sysadm") as pilot:
        await configure(pilot)
        await shows(pilot, "manages one project", "f8")
        await pilot.press("a")
        await until(pilot, lambda: cloud.called("user.list") and "type to search" in screen_text(pilot.app))
        assert cloud.called("user.list")[-1]["filters"] == {"free": True}
        await until(pilot, lambda: "type to search" in screen_text(pilot.app))
        await pilot.press("enter")
        await until(pilot, lambda: "type to search" not in screen_text(pilot.app))
        assert "li" in screen_text(pilot.app)
        await pilot.press("up", "up", "d")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: cloud.called("project.configure"))
        call = cloud.called("project.configure")[0]
        assert (call["project"], call["admins"]) == (uuid_of("web"), ["li"])
        assert "pools" not in call, "what was left alone is not sent"


async def test_a_quota_below_what_is_used_is_warned_about_and_may_be_set(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await configure(pilot)
        await typed(pilot, "3")
        await until(pilot, lambda: "12 are in use: nothing can be added until less is." in screen_text(pilot.app))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: cloud.called("project.configure"))
        assert cloud.called("project.configure")[0]["max_instances"] == 3


async def test_an_emptied_set_is_sent_as_empty(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await configure(pilot)
        await shows(pilot, "may serve several projects", "f8", "f8")
        await pilot.press("delete", "ctrl+s")
        await until(pilot, lambda: cloud.called("project.configure"))
        assert cloud.called("project.configure")[0]["pools"] == []


async def test_more_memory_than_a_host_can_give_is_said_at_the_field_and_not_sent(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "server185", "4")
        await shows(pilot, "Most VM memory", "e")
        await pilot.press("tab", "tab")
        await typed(pilot, "128GiB")
        await until(pilot, lambda: "At most 127.5 GiB" in screen_text(pilot.app))
        await pilot.press("ctrl+s")
        await pilot.pause(0.2)
        assert not cloud.called("host.edit")
        await pilot.press("home", "shift+end", "delete")
        await typed(pilot, "127GiB")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: cloud.called("host.edit"))
        assert cloud.called("host.edit")[0]["max_memory"] == 127 * GIB


async def test_a_host_group_shows_each_host_with_its_state(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "server185, server187", "4", "]")
        await shows(pilot, "Hosts and their states", "enter")
        lines = {line.split()[0]: line for line in screen_text(pilot.app).splitlines() if line.strip()}
        assert "● up" in lines["server185"]
        assert "✗ down" in lines["server187"]


async def test_hosts_and_projects_of_a_group_are_picked_and_taken_out(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "server185, server187", "4", "]")
        await shows(pilot, "add (a)", "e")
        await shows(pilot, "type to search", "tab", "tab", "down", "d", "f4")
        await until(pilot, lambda: "server186" in screen_text(pilot.app))
        await pilot.press("space", "space", "enter")
        await until(pilot, lambda: "type to search" not in screen_text(pilot.app))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: cloud.called("host-group.edit"))
        call = cloud.called("host-group.edit")[0]
        assert call["hosts"] == ["server185", "server186"], "who is in already is not there twice"
        assert "projects" not in call


async def test_the_system_administrator_reads_where_vms_run_and_how_they_are_reached(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "Web shop", "2")
        await shows(pilot, "web-front-01", "end", "v")
        text = screen_text(pilot.app)
        for title in ("Instance", "Project", "Disabled", "Runs on", "Port", "State"):
            assert title in text, "all of it at 80x24"
        assert re.search(r"192\.168\.7\.1 +5901 ", text)
        assert cloud.called("vm.list")[-1]["filters"] == {"project": uuid_of("web")}
        await pilot.press("p", "o", "d")
        await pilot.pause(0.1)
        assert not [name for name, _arguments in cloud.calls if name in ("vm.start", "vm.stop", "vm.delete")]
