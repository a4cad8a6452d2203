"""The form of a new storage pool: each kind asks for what it needs, and offers what it knows."""

from __future__ import annotations

from typing import Any

import pytest

from core.rules import pools
from dosvm_tui.commands.options import values_of
from dosvm_tui.commands.words import Words
from screens.generic.offers import is_allowed
from screens.resources import pool, volume
from tests.fakes.backend import FakeBackend
from tests.ui.conftest import opened, shows, typed, until

pytestmark = pytest.mark.ui


@pytest.fixture
def _all_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cloud that offers all kinds of pools."""
    fields = pool.add_fields(tuple(pools.KINDS))
    actions = tuple(action._replace(fields=fields) if action.verb == "add" else action for action in pool.SPEC.actions)
    monkeypatch.setattr(pool, "SPEC", pool.SPEC._replace(actions=actions))


@pytest.mark.usefixtures("_all_kinds")
@pytest.mark.parametrize(
    ("kind", "asked", "sent"),
    [
        (
            "iscsi",
            {"server": "192.168.2.189", "source": "qyj-target", "account": "qgh", "secret": "iscsi-189"},
            {},
        ),
        ("disk", {"host": "server185", "source": "/dev/sdb"}, {"format": "dos"}),
        ("logical", {"host": "server185", "path": "/dev/vg0", "devices": "/dev/sda3, /dev/sda4"}, {}),
    ],
)
async def test_each_kind_asks_for_what_it_needs(kind: str, asked: dict[str, str], sent: dict[str, Any]) -> None:
    cloud = FakeBackend()
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "local", "3")
        await shows(pilot, "Add: storage pool", "a")
        await typed(pilot, "vg0")
        form = pilot.app.screen.form
        form.rows["type"].input.put(kind)
        form.touched("type")
        for key, text in (asked | {"capacity": "60GB"}).items():
            assert form.rows[key].display, key
            form.rows[key].input.put([text] if key == "devices" else text)
        shown = {key for key, row in form.rows.items() if row.display}
        assert shown.isdisjoint({"server", "host", "devices", "path", "account", "format"} - set(asked) - set(sent))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(cloud.called("pool.add")))
        (call,) = cloud.called("pool.add")
        wanted = {"name": "vg0", "type": kind, "capacity": 60 * 10**9, **asked, **sent}
        if "devices" in wanted:
            wanted["devices"] = ["/dev/sda3", "/dev/sda4"]
        assert call == wanted


@pytest.mark.usefixtures("_all_kinds")
async def test_a_disk_is_not_offered_what_servers_speak() -> None:
    cloud = FakeBackend()
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "local", "3")
        await shows(pilot, "Add: storage pool", "a")
        form = pilot.app.screen.form
        form.rows["type"].input.put("disk")
        form.touched("type")
        form.focus_field("format")
        seen = []
        for _ in range(3):
            seen.append(form.rows["format"].input.get())
            await pilot.press("right")
        assert seen == ["dos", "gpt", "dos"]
        form.rows["type"].input.put("netfs")
        form.touched("type")
        assert form.rows["format"].input.get() in pools.KINDS[pools.NETFS].formats


def test_on_the_command_line_the_usual_format_is_that_of_the_kind() -> None:
    fields = pool.add_fields(tuple(pools.KINDS))

    def given(kind: str) -> Any:
        more = {"host": ["h1"]} if kind == "disk" else {"server": ["nas"], "path": ["/srv/x"]}
        words = Words()
        words.values = {"type": [kind], "capacity": ["1GB"], "source": ["x"], **more}
        return values_of(fields, words, {"name": "p"}).get("format")

    assert given("disk") == "dos"
    assert given("netfs") == pools.KINDS[pools.NETFS].formats[0]
    assert given("iscsi") is None


def test_volumes_that_others_make_are_not_offered_what_nobody_can_do_with_them() -> None:
    row = {
        "state": "present",
        "pool_type": "iscsi",
        "instances": [],
        "snapshots": 0,
        "backing": "",
        "own": True,
        "lost": False,
    }
    allowed = {a.verb for a in volume.SPEC.actions if is_allowed(a, row)}
    assert allowed == {"add", "edit", "give", "delete"}
    # Of no project it is titled and described all the same (manual 9.2).
    assert "edit" in {a.verb for a in volume.SPEC.actions if is_allowed(a, {**row, "own": False})}
