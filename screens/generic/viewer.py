"""A long text to read: YAML, XML, the keys, the help."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.app import ComposeResult

from core.i18n import N_, _
from screens.base import BaseDialog
from screens.context import Context
from widgets.field_list import Fact, FieldList
from widgets.paragraph import Paragraph


class Viewer(BaseDialog[None]):
    """Facts or lines that one scrolls through; Esc, Enter or ``q`` closes it."""

    BOX_CLASSES = "-full"
    DEFAULT_CSS = """
    Viewer FieldList { background: $panel; }
    """

    def __init__(self, context: Context, title: Callable[[], str], facts: Callable[[], Sequence[Fact]]) -> None:
        """Make a viewer; both functions give texts in the language then set."""
        super().__init__(context)
        self._title = title
        self._facts = facts

    def title_text(self) -> str:
        """See :class:`widgets.dialog.Dialog`."""
        return self._title()

    def body(self) -> ComposeResult:
        """The text."""
        yield FieldList(id="text")
        yield Paragraph(_(N_("Esc closes.")), classes="-muted", id="help")

    def on_mount(self) -> None:
        """Show it."""
        self._show()

    def _show(self) -> None:
        self.query_one(FieldList).set(self._facts())
        self.query_one(FieldList).focus()

    def key_q(self) -> None:
        """Close."""
        self.leave()

    def key_enter(self) -> None:
        """Close."""
        self.leave()

    def retranslate(self) -> None:
        """See :class:`screens.base.BaseDialog`."""
        super().retranslate()
        self.query_one("#help", Paragraph).set(_("Esc closes."))
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
