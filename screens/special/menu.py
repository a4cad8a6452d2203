"""The whole menu in a dialog, for terminals where the second level has no column of its own (F2)."""

from __future__ import annotations

from textual.app import ComposeResult

from core.i18n import N_, _
from screens import registry
from screens.base import BaseDialog
from screens.context import Context
from widgets.column_layout import TableColumn
from widgets.pages import Want
from widgets.virtual_table import Cell, VirtualTable


class Menu(BaseDialog[str]):
    """Sections and their lists; Enter opens one. Its result is the resource's name."""

    DEFAULT_CSS = """
    Menu Box { width: 50; max-height: 95%; }
    Menu VirtualTable { background: $panel; height: auto; max-height: 1fr; }
    """

    def __init__(self, context: Context, present: str) -> None:
        """Make the menu; ``present`` is the resource that is open."""
        super().__init__(context)
        self._present = present

    def title_text(self) -> str:
        """See :class:`widgets.dialog.Dialog`."""
        return _(N_("Menu"))

    def body(self) -> ComposeResult:
        """The entries."""
        yield VirtualTable(self._columns(), _cells, lambda entry: entry[1], id="entries")

    def _columns(self) -> list[TableColumn]:
        return [
            TableColumn("section", _(N_("Section")), 20, sortable=False),
            TableColumn("title", _(N_("List")), 24, sortable=False, flexible=True),
        ]

    def on_mount(self) -> None:
        """Show the entries; the cursor is on the one that is open."""
        entries = [(section.title, name) for section in registry.menu(self.context.role) for name in section.resources]
        table = self.query_one(VirtualTable)
        table.styles.height = len(entries) + 1
        table.deliver(Want(0, 0, len(entries)), entries, len(entries))
        table.go_to(self._present)
        table.focus()

    def on_virtual_table_activated(self, event: VirtualTable.Activated) -> None:
        """Take it."""
        event.stop()
        self.dismiss(event.row[1])

    def retranslate(self) -> None:
        """See :class:`screens.base.BaseDialog`."""
        super().retranslate()
        self.query_one(VirtualTable).set_columns(self._columns())


def _cells(entry: tuple[str, str]) -> list[Cell]:
    section, name = entry
    return [Cell(_(section), "muted"), Cell(_(registry.resource(name).title))]
