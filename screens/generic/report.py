"""An action on several rows at once: one after the other, with a report for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from textual.app import ComposeResult
from textual.widget import Widget

from core.errors import AuthenticationFailed, DosvmError, Unavailable
from core.i18n import N_, _
from screens.base import BaseDialog
from screens.context import Context
from widgets.column_layout import TableColumn
from widgets.glyphs import glyphs
from widgets.pages import Want
from widgets.paragraph import Paragraph
from widgets.push_button import PushButton
from widgets.virtual_table import Cell, VirtualTable

#: What is done to one item; runs in a thread.
Work = Callable[[Any], Any]


class BulkReport(BaseDialog[list[Any]]):
    """Runs an action on each item and says how each went. Its result is what the calls that went well returned."""

    BOX_CLASSES = "-wide"
    DEFAULT_CSS = """
    BulkReport Box { height: 20; max-height: 95%; }
    BulkReport VirtualTable { background: $panel; }
    """

    def __init__(
        self, context: Context, title: Callable[[], str], items: Sequence[tuple[str, Any]], work: Work
    ) -> None:
        """Make a report.

        Args:
            context: the context.
            title: gives the frame's title.
            items: name and item of each.
            work: what is done to each.
        """
        super().__init__(context)
        self._title = title
        self._items = list(items)
        self._work = work
        self._results: list[Any] = []
        self._outcome: list[DosvmError | None] = []
        self._stopped = False

    def title_text(self) -> str:
        """See :class:`widgets.dialog.Dialog`."""
        return self._title()

    def body(self) -> ComposeResult:
        """How many are done, and how each went."""
        yield Paragraph("", id="count", classes="-strong")
        yield VirtualTable(self._columns(), self._cells, str, id="rows", page_size=1000)

    def _columns(self) -> list[TableColumn]:
        return [
            TableColumn("name", _(N_("Name")), 24, sortable=False),
            TableColumn("outcome", _(N_("Outcome")), 60, sortable=False, flexible=True),
        ]

    def buttons(self) -> list[Widget]:
        """Stop, then close."""
        return [PushButton(_(N_("Stop")), "close", id="close")]

    def on_mount(self) -> None:
        """Begin."""
        self.query_one("#close").focus()
        self._show()
        self._next()

    def _cells(self, number: int) -> list[Cell]:
        name = self._items[number][0]
        if number >= len(self._outcome):
            return [Cell(name), Cell(_(N_("waits")), "muted")]
        error = self._outcome[number]
        if error is None:
            return [Cell(name), Cell(f"{glyphs().chosen} {_(N_('asked for'))}", "success")]
        return [Cell(name), Cell(error.text(), "error")]

    def _next(self) -> None:
        number = len(self._outcome)
        if self._stopped or number >= len(self._items):
            self._stopped = True
            self._show()
            return
        item = self._items[number][1]
        self.ask(lambda: self._work(item), self._went, self._failed)

    def _went(self, result: Any) -> None:
        self._results.append(result)
        self._outcome.append(None)
        self._show()
        self._next()

    def _failed(self, error: DosvmError) -> None:
        self._outcome.append(error)
        if isinstance(error, Unavailable | AuthenticationFailed):
            # The rest would fail for the same reason.
            self._stopped = True
            self.context.desk.explain(error)
        self._show()
        self._next()

    def _show(self) -> None:
        table = self.query_one(VirtualTable)
        numbers = list(range(len(self._items)))
        table.deliver(Want(0, 0, len(numbers)), numbers, len(numbers))
        table.redraw()
        failed = sum(1 for error in self._outcome if error is not None)
        text = _(N_("{done} of {all} done, {failed} refused")).format(
            done=len(self._outcome) - failed, all=len(self._items), failed=failed
        )
        self.query_one("#count", Paragraph).set(text)
        self.query_one("#close", PushButton).set_label(_(N_("Close")) if self._stopped else _("Stop"))
        if self._stopped and not failed and len(self._outcome) == len(self._items):
            self.dismiss(self._results)

    def on_push_button_pressed(self, event: PushButton.Pressed) -> None:
        """Stop, or close when it is over."""
        event.stop()
        self.leave()

    def leave(self) -> None:
        """Esc stops what has not begun, then closes."""
        if self._stopped:
            self.dismiss(self._results)
        self._stopped = True

    def retranslate(self) -> None:
        """See :class:`screens.base.BaseDialog`."""
        super().retranslate()
        self.query_one(VirtualTable).set_columns(self._columns())
        self._show()
