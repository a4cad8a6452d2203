"""Asking before something happens: what, to which, and whether it can be undone. The focus rests on No."""

from __future__ import annotations

from collections.abc import Callable

from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widget import Widget

from core.i18n import N_, _
from screens.base import BaseDialog
from screens.context import Context
from widgets.inputs import LineInput
from widgets.paragraph import Paragraph
from widgets.push_button import PushButton


class Words(VerticalScroll, can_focus=False):
    """What will happen, however long: what there is no room for is scrolled to, the buttons stay on screen."""

    DEFAULT_CSS = """
    Words { height: auto; max-height: 65vh; scrollbar-size-vertical: 1; }
    """

    def __init__(self, text: str, *, id: str) -> None:
        """Make it."""
        super().__init__(id=id)
        self._paragraph = Paragraph(text)

    def compose(self) -> ComposeResult:
        """The text."""
        yield self._paragraph

    def set(self, text: str) -> None:
        """Say something else."""
        self._paragraph.set(text)

    def turn(self, event: events.Key) -> None:
        """PageUp and PageDown, from wherever the focus is."""
        if event.key in ("pageup", "pagedown"):
            event.stop()
            self.scroll_relative(y=(self.size.height - 1) * (1 if event.key == "pagedown" else -1), animate=False)


#: Names that are listed before the rest is counted.
LISTED = 8


class Confirm(BaseDialog[bool]):
    """Yes or no; for the gravest things the name must be typed as well."""

    BOX_CLASSES = "-danger"

    def __init__(
        self,
        context: Context,
        title: Callable[[], str],
        text: Callable[[], str],
        yes: Callable[[], str],
        *,
        type_name: str = "",
    ) -> None:
        """Make a question.

        Args:
            context: the context.
            title: gives the frame's title, in the language then set.
            text: gives what will happen.
            yes: gives the word of the button that does it.
            type_name: what must be typed first; empty for nothing.
        """
        super().__init__(context)
        self._title, self._text, self._yes = title, text, yes
        self._type_name = type_name
        self._is_wrong = False

    def title_text(self) -> str:
        """See :class:`widgets.dialog.Dialog`."""
        return self._title()

    def body(self) -> ComposeResult:
        """What will happen."""
        yield Words(self._text(), id="text")
        if self._type_name:
            yield Paragraph(self._asks(), classes="-muted", id="asks")
            yield LineInput(id="name")
            yield Paragraph("", id="wrong", classes="-error")

    def _asks(self) -> str:
        return _(N_("Type {name} to confirm:")).format(name=self._type_name)

    def buttons(self) -> list[Widget]:
        """No, and yes."""
        return [PushButton(_(N_("No")), "no", id="no"), PushButton(self._yes(), "yes", danger=True, id="yes")]

    def on_mount(self) -> None:
        """The focus rests on No, or where the name is typed."""
        self._name_typed()
        self.query_one(self.rests_on()).focus()

    def rests_on(self) -> str:
        """Where the focus is at first."""
        return "#name" if self._type_name else "#no"

    def on_key(self, event: events.Key) -> None:
        """A long text is scrolled through."""
        self.query_one(Words).turn(event)

    def key_ctrl_s(self) -> None:
        """Send it, as in a form, once the name is typed; a question without one is answered by its buttons."""
        if not self._type_name:
            return
        if self._name_typed():
            self.dismiss(True)
        else:
            self._say_wrong(wrong=True)
            self.query_one("#name").focus()

    def _say_wrong(self, *, wrong: bool) -> None:
        self._is_wrong = wrong
        text = _(N_("The name is not typed as it is written.")) if wrong else ""
        self.query_one("#wrong", Paragraph).set(text)

    def on_input_changed(self) -> None:
        """Yes can be pressed once the name is right."""
        self._say_wrong(wrong=False)
        self._name_typed()

    def on_input_submitted(self) -> None:
        """Enter after the name goes to the buttons; it does not press them."""
        self.query_one("#yes" if self._name_typed() else "#no").focus()

    def _name_typed(self) -> bool:
        right = not self._type_name or self.query_one("#name", LineInput).value.strip() == self._type_name
        self.query_one("#yes", PushButton).set_enabled(right)
        return right

    def on_push_button_pressed(self, event: PushButton.Pressed) -> None:
        """Answer."""
        event.stop()
        self.dismiss(event.press == "yes")

    def leave(self) -> None:
        """Esc is no."""
        self.dismiss(False)

    def retranslate(self) -> None:
        """See :class:`screens.base.BaseDialog`."""
        super().retranslate()
        self.query_one("#text", Words).set(self._text())
        self.query_one("#no", PushButton).set_label(_("No"))
        self.query_one("#yes", PushButton).set_label(self._yes())
        if self._type_name:
            self.query_one("#asks", Paragraph).set(self._asks())
            self._say_wrong(wrong=self._is_wrong)


def names_of(names: list[str]) -> str:
    """Several names in one sentence: the first few, and how many more."""
    if len(names) <= LISTED:
        return ", ".join(names)
    more = _(N_("and {count} more")).format(count=len(names) - LISTED)
    return f"{', '.join(names[:LISTED])} {more}"
