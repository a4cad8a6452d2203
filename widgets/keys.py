"""Keys one after the other: the next key is looked at when the one before it has done all that it does.

Textual hands each key to the widget that has the focus when the key *arrives*, but runs bindings later, when the key
has bubbled up to the application. Keys that arrive together, as they do over a slow line, when somebody
pastes, or types ahead of a dialog, are then taken out of order (Textual #6605), or by a widget that is about to
lose the focus: ``/web`` would filter by nothing and take ``w``, ``e``, ``b`` for commands.
"""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import Any

from textual import events
from textual.app import App
from textual.message import Message
from textual.message_pump import MessagePump

#: Seconds after which it is looked whether the widget that a key went to has gone away: then it will not be heard of.
_LOST = 0.25
#: Seconds for which a key is waited for at most, whatever it does: a machine may be slow, a form large.
_PATIENCE = 5.0
#: Seconds for which nothing is painted at most because keys wait.
_HELD = 0.1


class KeyDone(Message):
    """Travels behind a key, along the same way, up to the application; then once more, behind what the key set off."""

    def __init__(self, target: MessagePump, again: bool = False) -> None:
        """Make it for the widget that the key went to."""
        super().__init__()
        self.target = target
        self.again = again


class ScreenReady(Message):
    """Travels through a new screen behind what makes it ready, up to the application."""


class OrderedKeys(App[Any]):
    """An application that takes keys one after the other."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """As :class:`textual.app.App`."""
        super().__init__(*arguments, **options)
        self._waiting_keys: deque[events.Key | events.Paste] = deque()
        self._key_under_way = False
        self._key_screen: object = None
        self._key_target: MessagePump | None = None
        self._key_count = 0
        self._held = False

    async def on_event(self, event: events.Event) -> None:
        """Hold keys back while one is under way; everything else as ever."""
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            if self._key_under_way:
                if not self._waiting_keys:
                    self._guard()
                    self._hold()
                self._waiting_keys.append(event)
            else:
                await self._take(event)
        else:
            await super().on_event(event)

    async def _take(self, event: events.Key | events.Paste) -> None:
        self._key_under_way = True
        self._key_count += 1
        self._key_screen = self.screen
        event = self._typed_together(event)
        if self._waiting_keys:
            self._guard()
        else:
            self._let_go()
        target = self._key_target = self.focused or self.screen
        await super().on_event(event)
        if not target.post_message(KeyDone(target)):
            self.post_message(KeyDone(target, again=True))

    def _typed_together(self, event: events.Key | events.Paste) -> events.Key | events.Paste:
        """Characters that wait for a line of text go into it together: each alone costs as much as all of them."""
        if not self._waiting_keys or not getattr(self.focused, "takes_text", False):
            return event
        text = _character(event)
        while text and self._waiting_keys and (more := _character(self._waiting_keys[0])):
            text += more
            self._waiting_keys.popleft()
        return events.Paste(text) if len(text) > 1 else event

    def on_key_done(self, message: KeyDone) -> None:
        """The key has been everywhere it goes; what it set off may still be on its way."""
        if (
            self._waiting_keys
            and not message.again
            and message.target.post_message(KeyDone(message.target, again=True))
        ):
            return
        self.call_later(self._after_key)

    def _after_key(self) -> None:
        if self._key_under_way and self.screen is not self._key_screen:
            # A screen opened or closed: let it get ready, so that it has its focus.
            self._key_screen = self._key_target = self.screen
            if self.screen.post_message(ScreenReady()):
                return
        self._next_key()

    def on_screen_ready(self) -> None:
        """The new screen has its focus."""
        self.call_later(self._next_key)

    def _guard(self) -> None:
        """See to it that keys that wait are not held for ever."""
        count, since = self._key_count, monotonic()
        self.set_timer(_LOST, lambda: self._give_up_on(count, since))

    def _give_up_on(self, count: int, since: float) -> None:
        if not self._key_under_way or self._key_count != count:
            return
        target = self._key_target
        there = target is not None and target.is_running and (target is self.screen or target.is_attached)
        if there and monotonic() - since < _PATIENCE:
            self.set_timer(_LOST, lambda: self._give_up_on(count, since))
        else:
            self._next_key()

    def _next_key(self) -> None:
        self._key_under_way = False
        if self._waiting_keys:
            event = self._waiting_keys.popleft()
            self._key_under_way = True
            self.call_later(self._take, event)

    def _hold(self) -> None:
        """Paint nothing that the keys which wait will change anyway; not for long, they may be many."""
        if not self._held:
            self._held = True
            self._begin_batch()
            self.set_timer(_HELD, self._let_go)

    def _let_go(self) -> None:
        if self._held:
            self._held = False
            self._end_batch()
            self.screen.check_idle()


def _character(event: events.Key | events.Paste) -> str:
    """What a key types; empty for others."""
    return (event.character or "") if isinstance(event, events.Key) and event.is_printable else ""
