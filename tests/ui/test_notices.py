"""Notices come when they come; nothing that one is at, types into, or needs to go on lies under them."""

from __future__ import annotations

from typing import Any

import pytest
from textual.pilot import Pilot

from core.errors import HostdUnavailable
from tests.fakes.backend import FakeBackend
from tests.ui.conftest import form_of, opened, screen_text, still, until

pytestmark = pytest.mark.ui

OTHER = "Grow disk1: done."
SENTENCE = "Power on web-front-04: QEMU said that it has not enough memory for this, and that there is no more to come."


def _hidden(pilot: Pilot[Any]) -> list[Any]:
    """What of a form cannot be seen: the input that has the focus, its rule, the buttons."""
    screen, hidden = pilot.app.screen, []
    for widget in (pilot.app.focused, *screen.query("#hint, PushButton")):
        region = widget.region
        cells = [(x, y) for y in region.line_range for x in region.column_range]
        if any(screen.get_widget_at(x, y)[0] is not widget for x, y in cells):
            hidden.append(widget)
    return hidden


@pytest.mark.parametrize("keys", [("2", "a"), ("2", "e"), ("a",)], ids=["high", "middle", "low"])
async def test_a_notice_leaves_the_field_one_is_at_and_the_buttons_of_a_form(
    cloud: FakeBackend, keys: tuple[str, ...]
) -> None:
    async with opened(cloud) as pilot:
        await pilot.press(*keys[:-1])
        await until(pilot, lambda: pilot.app.screen.table.loaded and pilot.app.screen.table.total)
        form = await form_of(pilot, keys[-1])
        pilot.app.notice(SENTENCE, "error")
        pilot.app.notice(OTHER, "warning")
        await until(pilot, lambda: "no more to come" in screen_text(pilot.app))
        for _field in form.rows:
            # At once: notices go by themselves, which is no answer.
            await still(pilot)
            assert not _hidden(pilot), screen_text(pilot.app)
            await pilot.press("tab")
        assert "no more to come" in screen_text(pilot.app)


async def test_a_form_that_opens_under_a_notice_is_left_free_as_well(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("2")
        await until(pilot, lambda: pilot.app.screen.table.loaded and pilot.app.screen.table.total)
        pilot.app.notice(SENTENCE, "error")
        pilot.app.notice(OTHER, "warning")
        await until(pilot, lambda: "no more to come" in screen_text(pilot.app))
        await form_of(pilot, "a")
        await still(pilot)
        assert "no more to come" in screen_text(pilot.app)
        assert not _hidden(pilot), screen_text(pilot.app)


@pytest.mark.parametrize("first", ["notice", "banner"])
async def test_a_notice_above_the_rows_leaves_the_banner_and_what_is_searched_by(
    cloud: FakeBackend, first: str
) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("end", *(["up"] * 3))

        async def say() -> None:
            pilot.app.notice(SENTENCE, "error")
            await until(pilot, lambda: "no more to come" in screen_text(pilot.app))

        async def lose() -> None:
            cloud.away = HostdUnavailable("/var/lib/dosvm/hostd.sock")
            await until(pilot, lambda: "hostd does not answer" in screen_text(pilot.app))

        for step in (say, lose) if first == "notice" else (lose, say):
            await step()
        banner = pilot.app.screen.query_one("#banner")
        await until(pilot, lambda: banner.region.height > 1)
        await pilot.pause(0.2)
        lines = screen_text(pilot.app).splitlines()
        assert "no more to come" in "\n".join(lines[:10]), "it is above"
        for y in range(2 + banner.region.height):
            assert "QEMU" not in lines[y]
        filters = 2 + banner.region.height
        assert lines[filters].startswith(" / searches"), lines[filters]
        assert lines[filters].rstrip().endswith("37/40"), lines[filters]
