"""A long text to read: YAML, XML, the keys, the help."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual import events
from textual.app import ComposeResult
from textual.widgets import Input

from core.i18n import N_, _
from screens.base import BaseDialog
from screens.context import Context
from widgets.field_list import Fact, FieldList
from widgets.inputs import LineInput
from widgets.paragraph import Paragraph


class Viewer(BaseDialog[None]):
    """Facts or lines that one scrolls through and searches; Esc, Enter or ``q`` closes it."""

    BOX_CLASSES = "-full"
    DEFAULT_CSS = """
    Viewer FieldList { background: $panel; }
    Viewer #search { display: none; }
    Viewer #search.-open { display: block; }
    """

    def __init__(self, context: Context, title: Callable[[], str], facts: Callable[[], Sequence[Fact]]) -> None:
        """Make a viewer; both functions give texts in the language then set."""
        super().__init__(context)
        self._title = title
        self._facts = facts
        self._searched = ""

    def title_text(self) -> str:
        """See :class:`widgets.dialog.Dialog`."""
        return self._title()

    def body(self) -> ComposeResult:
        """The text, a line to search it by, and what the keys do."""
        yield FieldList(id="text")
        yield LineInput(id="search")
        yield Paragraph("", classes="-muted", id="help")

    def on_mount(self) -> None:
        """Show it."""
        self._show()

    @property
    def _text(self) -> FieldList:
        return self.query_one(FieldList)

    def _show(self) -> None:
        self._text.set(self._facts())
        self._text.focus()
        self._say()

    def _say(self, found: tuple[int, int] | None = None) -> None:
        says = _(N_("Esc closes, / searches."))
        if self._searched and found is not None:
            at, count = found
            if count:
                says = _(N_("{text}: line {at} of {count}; n and N go on and back."))
            else:
                says = _(N_("{text} is not there."))
            says = says.format(text=self._searched, at=at, count=count)
        self.query_one("#help", Paragraph).set(says)

    # -- the hand

    def on_key(self, event: events.Key) -> None:
        """Search, go on, or close."""
        searching = self.query_one("#search", LineInput)
        if event.key == "escape" and (searching.has_focus or self._searched):
            self._search("")
            searching.value = ""
            self._close_search()
        elif searching.has_focus:
            return
        elif event.character == "/":
            searching.add_class("-open")
            searching.focus()
        elif event.character in ("n", "N") and self._searched:
            self._say(self._text.find(self._searched, step=1 if event.character == "n" else -1))
        elif event.key in ("escape", "enter", "q"):
            self.leave()
        else:
            return
        event.stop()
        event.prevent_default()

    def _search(self, text: str) -> None:
        self._searched = text
        self._say(self._text.find(text))

    def _close_search(self) -> None:
        self.query_one("#search").remove_class("-open")
        self._text.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search while one types."""
        event.stop()
        if event.value != self._searched:
            self._search(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter goes back to the text."""
        event.stop()
        self._close_search()

    def retranslate(self) -> None:
        """See :class:`screens.base.BaseDialog`."""
        super().retranslate()
        self._searched = ""
        self._show()


def lines(text: str) -> list[Fact]:
    """A text as facts: one without a name for each line."""
    return [Fact("", line or " ") for line in text.splitlines()]


def keys(groups: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> list[Fact]:
    """Groups of keys as facts."""
    facts: list[Fact] = []
    for title, pairs in groups:
        if not pairs:
            continue
        if facts:
            facts.append(Fact(" ", "", heading=True))
        facts.append(Fact(title, "", heading=True))
        facts += [Fact(key, label) for key, label in pairs]
    return facts
