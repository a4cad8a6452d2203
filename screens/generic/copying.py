"""A cell or a row to the clipboard of the person's own terminal, over SSH too (OSC 52)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from textual.app import ComposeResult

from core.i18n import N_, _
from screens.base import BaseDialog
from screens.context import Context
from screens.generic.cells import cell, label_of
from screens.spec import Column, ResourceSpec, Row
from screens.values import show
from widgets.column_layout import TableColumn
from widgets.field_list import Fact, FieldList
from widgets.pages import Want
from widgets.paragraph import Paragraph
from widgets.virtual_table import Cell, VirtualTable

#: Bytes that terminals take at once by OSC 52; xterm and tmux drop what is longer without a word.
MOST = 74_000


class Copyable(NamedTuple):
    """Something that can be copied: its identity, what it is called, its text."""

    key: str
    label: str
    text: str


def copyables(spec: ResourceSpec, role: str, columns: Sequence[Column], rows: Sequence[Row]) -> list[Copyable]:
    """What can be copied of one row, or of several: cells as they are shown, whole rows as text and as JSON."""
    first = rows[0]
    found = []
    if len(rows) == 1:
        for column in spec.columns:
            if role in column.roles and column.key in first:
                text = show(first[column.key], column.kind, column.words)
                found.append(Copyable(column.key, _(column.title), text))
    else:
        names = "\n".join(label_of(spec, row) for row in rows)
        found.append(Copyable("*names", _(N_("names, one a line")), names))
    lines = ["\t".join(cell(column, row).text for column in columns) for row in rows]
    found.append(Copyable("*text", _(N_("as shown, with tabs")), "\n".join(lines)))
    data = first if len(rows) == 1 else list(rows)
    found.append(Copyable("*json", "JSON", json.dumps(data, ensure_ascii=False, indent=1)))
    return found


def open_copy(context: Context, spec: ResourceSpec, columns: Sequence[Column], rows: Sequence[Row]) -> None:
    """Offer what can be copied of rows."""
    context.desk.show(CopyDialog(context, spec, columns, rows))


class CopyDialog(BaseDialog[None]):
    """A line for each thing that can be copied; Enter copies it. Its text stands below, for terminals that do not."""

    BOX_CLASSES = "-wide"
    DEFAULT_CSS = """
    CopyDialog Box { height: 22; max-height: 100%; }
    CopyDialog VirtualTable { background: $panel; height: 1fr; min-height: 4; }
    CopyDialog FieldList { background: $surface; height: 5; margin-top: 1; }
    """

    def __init__(self, context: Context, spec: ResourceSpec, columns: Sequence[Column], rows: Sequence[Row]) -> None:
        """Make the dialog for one row or several, seen in these columns."""
        super().__init__(context)
        self._spec = spec
        self._columns = columns
        self._rows = rows

    def title_text(self) -> str:
        """See :class:`widgets.dialog.Dialog`."""
        if len(self._rows) == 1:
            return f"{_(N_('Copy'))}: {label_of(self._spec, self._rows[0])}"
        return f"{_('Copy')}: {_(self._spec.title)} ({len(self._rows)})"

    def body(self) -> ComposeResult:
        """What can be copied, and the text of the one under the cursor."""
        yield VirtualTable(self._titles(), _cells, lambda one: one.key, id="things", page_size=500)
        yield FieldList(id="text")
        yield Paragraph(self._help(), id="help", classes="-muted")

    def _titles(self) -> list[TableColumn]:
        return [
            TableColumn("what", _(N_("What")), 24, sortable=False),
            TableColumn("text", _(N_("Text")), 40, sortable=False, flexible=True),
        ]

    def _help(self) -> str:
        return _(
            N_(
                "Enter copies to the clipboard of your terminal (OSC 52; in tmux with set-clipboard on). Where that"
                " does not work, mark the text below with Shift and the mouse."
            )
        )

    @property
    def table(self) -> VirtualTable:
        """What can be copied."""
        return self.query_one(VirtualTable)

    def on_mount(self) -> None:
        """Show it."""
        self._show(0)
        self.table.focus()

    def _show(self, generation: int) -> None:
        things = copyables(self._spec, self.context.role, self._columns, self._rows)
        self.table.deliver(Want(generation, 0, len(things)), things, len(things))

    def on_virtual_table_highlighted(self, event: VirtualTable.Highlighted) -> None:
        """The whole text."""
        event.stop()
        if event.row is not None:
            self.query_one(FieldList).set([Fact("", line or " ") for line in event.row.text.splitlines()])

    def on_virtual_table_activated(self, event: VirtualTable.Activated) -> None:
        """Copy it."""
        event.stop()
        text: str = event.row.text
        if len(text.encode()) > MOST:
            self.context.desk.notice(_(N_("This is too long for a terminal's clipboard; x writes a file.")), "warning")
            return
        self.app.copy_to_clipboard(text)
        self.context.desk.notice(_(N_("Copied: {what}.")).format(what=event.row.label))
        self.dismiss(None)

    def retranslate(self) -> None:
        """See :class:`screens.base.BaseDialog`."""
        super().retranslate()
        self.query_one("#help", Paragraph).set(self._help())
        self.table.set_columns(self._titles())
        self._show(0)


def _cells(one: Copyable) -> list[Cell]:
    first = one.text.splitlines()
    return [Cell(one.label), Cell(first[0] if first else "")]
