"""Anything by a few letters."""

from __future__ import annotations

import pytest

from dosvm_tui.palette import score
from tests.fakes.backend import FakeBackend
from tests.ui.conftest import notices, opened, screen_text, shows, table, typed, until

pytestmark = pytest.mark.ui


async def test_an_action_on_the_row_under_the_cursor(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("down", "ctrl+p")
        await pilot.pause(0.1)
        await typed(pilot, "suspend")
        await pilot.pause(0.1)
        assert "Suspend: web-front-02" in screen_text(pilot.app)
        await pilot.press("enter")
        await until(pilot, lambda: len(cloud.called("vm.suspend")) == 1)


async def test_an_object_by_its_name_from_anywhere(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press(":")
        await pilot.pause(0.1)
        await typed(pilot, "disk5")
        await until(pilot, lambda: table(pilot).cursor_row is not None and table(pilot).cursor_row.kind == "volume")
        await shows(pilot, "/srv/dosvm/volumes/disk5", "enter")


async def test_a_screen_by_its_name_typed_ahead(cloud: FakeBackend) -> None:
    from textual import events

    async with opened(cloud) as pilot:
        for key in ("colon", "i", "m", "a", "g", "e", "s", "enter"):
            pilot.app.post_message(events.Key(key, ":" if key == "colon" else "\r" if key == "enter" else key))
        await until(pilot, lambda: "debian-12.iso" in screen_text(pilot.app))


async def test_colours_and_language(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("ctrl+p")
        await typed(pilot, "high contrast")
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.theme == "high-contrast")


async def test_arrows_choose_while_one_types(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press(":")
        await typed(pilot, "disk")
        await until(pilot, lambda: table(pilot).total == 10)  # four of them also as snapshots
        await pilot.press("down", "down")
        await pilot.pause(0.3)
        assert table(pilot).cursor == 2, "what is found later does not move the cursor"
        await shows(pilot, "/srv/dosvm/volumes/disk2", "up", "enter")


@pytest.mark.parametrize(
    ("words", "better", "worse"),
    [("vm", "VMs", "Virtual machine"), ("st", "Start: web", "first"), ("wbf", "web-front", "web and beef")],
)
def test_what_fits_best_comes_first(words: str, better: str, worse: str) -> None:
    first, second = score(words, better), score(words, worse)
    assert first is not None
    assert second is None or first < second


async def test_with_marked_rows_it_says_how_many_an_action_is_for(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("space", "space", "ctrl+p")
        await typed(pilot, "suspend")
        await until(pilot, lambda: "Suspend: 2 marked" in screen_text(pilot.app))
        # News renew the rows below meanwhile; it is still for those that were marked.
        cloud.change("vm", "web-front-03", cpu_percent=1.0)
        await pilot.pause(0.5)
        await pilot.press("enter")
        await until(pilot, lambda: len(pilot.app.context.tasks.running) == 2)  # type: ignore[attr-defined]


async def test_what_makes_no_sense_is_dimmed_behind_the_rest_and_says_why(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("ctrl+p")
        await typed(pilot, "resume")
        await until(pilot, lambda: "Resume: web-front-01" in screen_text(pilot.app))
        while table(pilot).cursor_row.text != "Resume: web-front-01":
            await pilot.press("down")
        await until(pilot, lambda: "It is not suspended." in screen_text(pilot.app))
        assert table(pilot).cursor_row.why
        await pilot.press("enter")
        await until(pilot, lambda: bool(notices(pilot)))
        assert notices(pilot) == ["Resume makes no sense for web-front-01 now. It is not suspended."]


async def test_an_object_by_its_title_and_one_ideograph_is_enough(cloud: FakeBackend) -> None:
    cloud.account = "sysadm"
    found = next(row for row in cloud.rows["user"] if row["name"] == "zhao")

    def users(search: str = "", **_query: object) -> object:
        rows = [found] if search in str(found["display_name"]) else []
        return {"rows": rows, "total": len(rows)}

    async with opened(cloud, account="sysadm") as pilot:
        cloud.answers["user.list"] = users
        for words in ("赵小", "赵"):
            await pilot.press("ctrl+p")
            await typed(pilot, words)
            # The list behind it has the name as well.
            await until(pilot, lambda words=words: words in [asked["search"] for asked in cloud.called("user.list")])
            await until(pilot, lambda: "zhao  赵小明" in screen_text(pilot.app))
            await pilot.press("escape")
