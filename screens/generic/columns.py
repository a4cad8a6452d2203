"""The columns of a list and its order, chosen by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from textual import events
from textual.app import ComposeResult
from textual.message import Message
from textual.widget import Widget

from core.i18n import N_, _
from screens.base import BaseDialog
from screens.context import Context
from screens.generic.list_view import ListView, can_sort, usual_view
from screens.spec import Column, ResourceSpec
from widgets.column_layout import TableColumn
from widgets.glyphs import glyphs
from widgets.pages import Want
from widgets.paragraph import Paragraph
from widgets.push_button import PushButton
from widgets.virtual_table import Cell, VirtualTable

#: Cells up to the end of a line's box.
BOX = 7


class ColumnLines(VirtualTable):
    """A table in which Space, or a click on the box, toggles a line instead of marking it."""

    @dataclass
    class Toggled(Message):
        """A line was toggled."""

        key: str

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "space":
            event.stop()
            event.prevent_default()
            if self.cursor_row is not None:
                self.post_message(self.Toggled(self.cursor_row))

    def on_click(self, event: events.Click) -> None:
        """The box is where marks are."""
        if event.y and event.x < BOX:
            event.stop()
            event.prevent_default()
            index = self.on_screen[0] + event.y - 1
            if index < self.total:
                self.go_to_row(index)
                self.post_message(self.Toggled(str(self.cursor_row)))


class ColumnsDialog(BaseDialog[ListView]):
    """A line for each column: Space shows or hides it, K and J move it, Enter sorts by it and closes."""

    DEFAULT_CSS = """
    ColumnsDialog Box { height: 21; max-height: 95%; }
    ColumnsDialog VirtualTable { background: $panel; height: 1fr; }
    """

    def __init__(
        self, context: Context, spec: ResourceSpec, offered: Sequence[Column], shown: Sequence[str], view: ListView
    ) -> None:
        """Make the dialog.

        Args:
            context: the context.
            spec: the resource.
            offered: the columns one may choose.
            shown: keys of those now in the list, in order.
            view: what was chosen before.
        """
        super().__init__(context)
        self._spec = spec
        self._columns = {column.key: column for column in offered}
        self._order = [*(key for key in shown if key in self._columns), *(k for k in self._columns if k not in shown)]
        self._shown = {key for key in shown if key in self._columns}
        self._before = (list(self._order), set(self._shown))
        self._view = view
        self._generation = 0

    def title_text(self) -> str:
        """See :class:`widgets.dialog.Dialog`."""
        return f"{_(self._spec.title)}: {_(N_('columns and order'))}"

    def body(self) -> ComposeResult:
        """The columns, and what the keys do."""
        yield ColumnLines(self._titles(), self._cells, str, id="columns")
        yield Paragraph(self._help(), id="help", classes="-muted")

    def _titles(self) -> list[TableColumn]:
        return [
            TableColumn("shown", _(N_("Shown")), 5, sortable=False, shrinks=False),
            TableColumn("title", _(N_("Column")), 30, sortable=False, flexible=True),
            TableColumn("sort", _(N_("Order")), 24, sortable=False),
        ]

    def _cells(self, key: str) -> list[Cell]:
        column = self._columns[key]
        box = f"[{glyphs().chosen if key in self._shown else ' '}]"
        return [Cell(box), Cell(_(column.title)), self._sort_cell(column)]

    def _sort_cell(self, column: Column) -> Cell:
        if column.key == self._view.sort:
            sign = glyphs().descending if self._view.descending else glyphs().ascending
            words = _(N_("largest first")) if self._view.descending else _(N_("smallest first"))
            return Cell(f"{sign} {words}", "success")
        return Cell("") if can_sort(column) else Cell(_(N_("cannot be sorted by")), "muted")

    def _help(self) -> str:
        key = self.table.cursor_row if self.query(VirtualTable) else None
        column = self._columns.get(key) if key is not None else None
        why = f"{_(column.title)}: {_(column.why_unsorted)}\n" if column is not None and not can_sort(column) else ""
        return why + _(
            N_(
                "Enter sorts by the column, once more the other way round. Space shows or hides it, K and J move it up"
                " and down, Ctrl+S keeps what is shown."
            )
        )

    def buttons(self) -> list[Widget]:
        """As it was at first; keep."""
        return [
            PushButton(_(N_("As declared")), "usual", id="usual"),
            PushButton(_("Cancel"), "leave", id="leave"),
            PushButton(_(N_("Keep")), "keep", id="keep"),
        ]

    @property
    def table(self) -> VirtualTable:
        """The columns."""
        return self.query_one(VirtualTable)

    def on_mount(self) -> None:
        """The cursor is on the column that the list is sorted by."""
        self._show()
        self.table.go_to(self._view.sort)
        self.table.focus()

    def _show(self) -> None:
        self._generation += 1
        self.table.restart()
        self.table.deliver(Want(self._generation, 0, len(self._order)), self._order, len(self._order))
        self.table.redraw()

    # -- the hand

    def on_key(self, event: events.Key) -> None:
        """K and J move the column under the cursor."""
        if event.character in ("K", "J") and self.table.has_focus and self.table.cursor_row is not None:
            event.stop()
            self._move(self.table.cursor_row, 1 if event.character == "J" else -1)

    def on_column_lines_toggled(self, event: ColumnLines.Toggled) -> None:
        """Show or hide it."""
        event.stop()
        self._toggle(event.key)

    def _toggle(self, key: str) -> None:
        self._shown ^= {key}
        # Without the name nobody knows which row is which.
        self._shown.add(self._named)
        self._show()

    @property
    def _named(self) -> str:
        return self._spec.label if self._spec.label in self._columns else self._order[0]

    def _move(self, key: str, by: int) -> None:
        at = self._order.index(key)
        to = max(0, min(at + by, len(self._order) - 1))
        self._order.insert(to, self._order.pop(at))
        self._show()
        self.table.go_to(key)

    def on_virtual_table_activated(self, event: VirtualTable.Activated) -> None:
        """Sort by it, and be done."""
        event.stop()
        if can_sort(self._columns[event.row]):
            self._view = self._view.sorted_by(event.row)
            self.key_ctrl_s()

    def on_virtual_table_highlighted(self, event: VirtualTable.Highlighted) -> None:
        """What the list is not sorted by says why."""
        event.stop()
        self.query_one("#help", Paragraph).set(self._help())

    def key_ctrl_s(self) -> None:
        """Keep what is shown."""
        columns = self._view.columns
        if (self._order, self._shown) != self._before:
            columns = tuple(key for key in self._order if key in self._shown)
        self.dismiss(replace(self._view, columns=columns))

    def on_push_button_pressed(self, event: PushButton.Pressed) -> None:
        """Keep it, leave it, or go back to the declaration."""
        event.stop()
        if event.press == "usual":
            self.dismiss(usual_view(self._spec))
        elif event.press == "keep":
            self.key_ctrl_s()
        else:
            self.leave()

    def retranslate(self) -> None:
        """See :class:`screens.base.BaseDialog`."""
        super().retranslate()
        self.table.set_columns(self._titles())
        self.query_one("#help", Paragraph).set(self._help())
        for name, word in (("usual", "As declared"), ("leave", "Cancel"), ("keep", "Keep")):
            self.query_one(f"#{name}", PushButton).set_label(_(word))
        self._show()
