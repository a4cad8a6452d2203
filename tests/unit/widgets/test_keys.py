"""Keys that come in one read are taken one after the other (Textual #6605)."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import pytest
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.pilot import Pilot
from textual.screen import ModalScreen
from textual.widgets import Input

from widgets.inputs import LineInput
from widgets.keys import OrderedKeys


class Question(ModalScreen[str]):
    def compose(self) -> ComposeResult:
        yield LineInput(id="answer")

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value)


class TwoLines(OrderedKeys):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("f2", "ask", "Ask")]
    answer = ""

    def compose(self) -> ComposeResult:
        yield LineInput(id="one")
        yield LineInput(id="two")

    def on_mount(self) -> None:
        self.query_one("#one").focus()

    def action_ask(self) -> None:
        self.push_screen(Question(), self.answered)

    def answered(self, answer: str | None) -> None:
        self.answer = answer or ""


def at_once(app: TwoLines, *keys: str) -> None:
    for key in keys:
        app.post_message(events.Key(key, key if len(key) == 1 else None))


async def done(pilot: Pilot[None], app: TwoLines) -> None:
    """Wait until all keys were taken."""
    await pilot.pause()
    while app._waiting_keys or app._key_under_way:
        await pilot.pause(0.02)
    await pilot.pause(0.05)


async def test_letters_and_backspaces_keep_their_order() -> None:
    app = TwoLines()
    async with app.run_test() as pilot:
        at_once(app, "a", "b", "c", "backspace", "backspace", "X", "left", "y")
        await done(pilot, app)
        assert app.query_one("#one", Input).value == "ayX"


async def test_what_follows_a_tab_goes_to_the_next_line() -> None:
    app = TwoLines()
    async with app.run_test() as pilot:
        at_once(app, "a", "tab", "b", "shift+tab", "c")
        await done(pilot, app)
        assert app.query_one("#two", Input).value == "b"
        assert app.query_one("#one", Input).value.endswith("c")


async def test_what_is_typed_ahead_of_a_dialog_goes_into_it_and_then_out_again() -> None:
    app = TwoLines()
    async with app.run_test() as pilot:
        at_once(app, "f2", "4", "2", "enter", "z")
        await done(pilot, app)
        assert app.answer == "42"
        assert app.query_one("#one", Input).value == "z"


async def test_a_dialog_that_takes_its_time_gets_what_was_typed_ahead_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(self: Question) -> None:
        await asyncio.sleep(1.0)
        self.query_one(Input).focus()

    monkeypatch.setattr(Question, "on_mount", slow)
    app = TwoLines()
    async with app.run_test() as pilot:
        at_once(app, "f2", "4", "2", "enter", "z")
        await done(pilot, app)
        assert app.answer == "42"
        assert app.query_one("#one", Input).value == "z"


async def test_keys_are_not_held_for_ever_by_a_widget_that_went_away() -> None:
    app = TwoLines()
    async with app.run_test() as pilot:
        app._key_under_way = True
        at_once(app, "a", "b")
        await done(pilot, app)
        assert app.query_one("#one", Input).value == "ab"


async def test_a_paste_waits_its_turn() -> None:
    app = TwoLines()
    async with app.run_test() as pilot:
        at_once(app, "a", "tab")
        app.post_message(events.Paste("pasted"))
        await done(pilot, app)
        assert app.query_one("#two", Input).value == "pasted"
