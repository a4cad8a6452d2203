"""Which screens are open, one above the other, and what is said over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from textual import events
from textual.await_complete import AwaitComplete
from textual.screen import Screen
from textual.widget import Widget

from dosvm_tui.notices import place
from screens import registry
from screens.base import BaseScreen
from screens.context import Context
from screens.generic.resource_list import ResourceList
from screens.spec import ResourceSpec, Row
from screens.special import SCREENS
from widgets.keys import KeyDone, OrderedKeys
from widgets.sparing import SparingOutput
from widgets.text import one_line
from widgets.too_small import is_too_small


class _Ground(Screen[None]):
    """What lies under all screens and is never seen: nothing is in it, where Textual has notices and hints."""

    def _extend_compose(self, widgets: list[Widget]) -> None:
        pass


class Stage(SparingOutput, OrderedKeys):
    """The application as far as it opens and closes screens; the first half of :class:`screens.context.Desk`."""

    context: Context

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """As :class:`textual.app.App`."""
        super().__init__(*arguments, **options)
        #: What is to be said once the screen in front is closed: text and severity.
        self._held_notices: list[tuple[str, str]] = []

    def pop_screen(self) -> AwaitComplete:
        """See :class:`textual.app.App`; what was held back is said then."""
        done = super().pop_screen()
        if self._held_notices:
            self.call_later(self._tell_held)
        return done

    def _tell_held(self) -> None:
        held, self._held_notices = self._held_notices, []
        for text, severity in held:
            self.notice(text, severity)

    def get_default_screen(self) -> Screen[Any]:
        """See :class:`textual.app.App`."""
        return _Ground(id="_default")

    async def on_event(self, event: events.Event) -> None:
        """What cannot be seen is not worked with: while the window is too small only what leaves is listened to."""
        typed = isinstance(event, events.InputEvent | events.Paste) and not event.is_forwarded
        leaves = isinstance(event, events.Key) and event.key in ("ctrl+q", "ctrl+c", "ctrl+l")
        if not typed or leaves or not is_too_small(self.size):
            await super().on_event(event)

    def open_resource(
        self, name: str, *, filters: Mapping[str, Any] | None = None, title: str = "", root: bool = False
    ) -> None:
        """See :class:`screens.context.Desk`."""
        screen = self._list_or_row(name, filters=filters, title=title)
        if root:
            self._become(screen)
        else:
            self.push_screen(screen)

    def _list_or_row(self, name: str, *, filters: Mapping[str, Any] | None = None, title: str = "") -> Screen[Any]:
        spec = registry.resource(name)
        if spec.single:
            return self._detail(spec, None)
        return ResourceList(self.context, spec, filters=filters, title=title)

    def _become(self, screen: Screen[Any]) -> None:
        """Put a screen in place of all that is open."""
        # At the bottom lies the ground, which cannot be switched.
        while len(self.screen_stack) > 2:
            self.pop_screen()
        if len(self.screen_stack) == 2:
            self.switch_screen(screen)
        else:
            self.push_screen(screen)

    def open_row(self, spec: ResourceSpec, row: Row) -> None:
        """See :class:`screens.context.Desk`."""
        self.push_screen(self._detail(spec, row))

    def _detail(self, spec: ResourceSpec, row: Row | None) -> Screen[Any]:
        if spec.detail_screen in SCREENS:
            found: Screen[Any] = self._special(spec.detail_screen)(self.context, spec, row)
            return found
        from screens.generic.resource_detail import ResourceDetail

        return ResourceDetail(self.context, spec, row)

    @staticmethod
    def _special(name: str) -> Any:
        module, cls = SCREENS[name]
        return getattr(import_module(module), cls)

    def open_special(self, name: str, spec: ResourceSpec, row: Row | None = None) -> bool:
        """See :class:`screens.context.Desk`."""
        if name not in SCREENS:
            return False
        cls = self._special(name)
        if hasattr(cls, "open"):
            cls.open(self.context)
        else:
            self.push_screen(cls(self.context, spec, row))
        return True

    def show(self, screen: Screen[Any], then: Callable[[Any], None] | None = None) -> None:
        """See :class:`screens.context.Desk`."""
        if all(notification.severity == "information" for notification in self._notifications):
            self.clear_notifications()  # good news of a moment ago would lie over what is opened now
        self.push_screen(screen, then)
        if self._notifications:
            screen.call_after_refresh(self._place_notices)

    def back(self) -> None:
        """See :class:`screens.context.Desk`."""
        if len(self.screen_stack) > 2:
            self.pop_screen()

    def crumbs(self) -> Sequence[str]:
        """See :class:`screens.context.Desk`."""
        return [screen.crumb() for screen in self.screen_stack if isinstance(screen, BaseScreen)]

    @property
    def _front(self) -> BaseScreen | None:
        """The uppermost full screen, dialogs above it or not."""
        return next((s for s in reversed(self.screen_stack) if isinstance(s, BaseScreen)), None)

    def notice(self, text: str, severity: str = "information") -> None:
        """See :class:`screens.context.Desk`; over what holds notices nothing is said before it is closed."""
        if getattr(self.screen, "holds_notices", False):
            self._held_notices.append((text, severity))
            return
        level = "error" if severity == "error" else "warning" if severity == "warning" else "information"
        text = "\n".join(one_line(line) for line in text.split("\n"))
        self.call_next(self._place_notices)
        self.notify(text, severity=level, timeout=12 if level == "error" else 5, markup=False)  # type: ignore[arg-type]

    def on_key_done(self, _message: KeyDone) -> None:
        """The cursor may have moved under a notice, and what it set off may have moved the rest."""
        self._place_notices()
        if self._notifications:
            self.screen.call_after_refresh(self._place_notices)

    def _place_notices(self) -> None:
        if self._notifications:
            place(self.screen, self._notifications)
