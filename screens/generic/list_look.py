"""How a list is looked at: its columns and its order, and the details that stand beside its rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from screens.context import Context
from screens.generic.cells import facts, row_cells, row_key_of, table_columns
from screens.generic.list_view import (
    PANE_WIDTH,
    ListView,
    can_sort,
    keep_view,
    next_pane,
    offered_columns,
    pane_place,
    shown_columns,
    view_of,
)
from screens.spec import ResourceSpec
from widgets.field_list import FieldList
from widgets.virtual_table import VirtualTable


class ListLook:
    """Makes the table and the pane of a list, and shows them as their person likes it."""

    def __init__(self, context: Context, spec: ResourceSpec, ordered: Callable[[], None]) -> None:
        """Make both.

        Args:
            context: the context.
            spec: the resource.
            ordered: called when the rows are wanted in another order.
        """
        self._context = context
        self._spec = spec
        self._ordered = ordered
        self.view = view_of(context.settings, spec, context.role)
        self.columns = shown_columns(spec, context.role, self.view, 80)
        self.table = VirtualTable(
            table_columns(spec, self.columns), row_cells(self.columns), lambda row: row_key_of(spec, row), id="rows"
        )
        self.pane = FieldList(flow=True, id="pane")
        self.pane.can_focus = False

    # -- as much as there is room for

    @property
    def pane_place(self) -> str:
        """Where the details of the row under the cursor stand; empty for nowhere."""
        return pane_place(self._context.settings.pane, *self.table.app.size)

    def fit(self) -> None:
        """Show as many columns as there is room for, and the details where there is room for them."""
        self._place_pane()
        self.fit_columns()

    def fit_columns(self) -> None:
        """Show as many columns as there is room for."""
        width = self.table.app.size.width - (PANE_WIDTH if self.pane_place == "right" else 0)
        columns = shown_columns(self._spec, self._context.role, self.view, width)
        if columns != self.columns:
            self.columns = columns
            self.table.set_columns(table_columns(self._spec, columns), row_cells(columns))

    def retitle(self) -> None:
        """Show the columns' titles in the language now set."""
        self.table.set_columns(table_columns(self._spec, self.columns))

    # -- the pane

    def turn_pane(self) -> None:
        """Details below, at the right, or nowhere."""
        self._context.settings.pane = next_pane(self.pane_place)
        self._context.settings.save()
        self.fit()

    def _place_pane(self) -> None:
        for place in ("below", "right"):
            self.pane.set_class(self.pane_place == place, f"-{place}")
        self.show_pane()

    def show_pane(self) -> None:
        """On a tall terminal, what is known of the row under the cursor stands below the table."""
        row = self.table.cursor_row
        if self.pane.display:
            self.pane.set(facts(self._spec, self._context.role, row) if row is not None else ())

    # -- columns and order

    def sort_next(self) -> None:
        """Sort by the next column that can be sorted by."""
        keys = [column.key for column in self.columns if can_sort(column)]
        if keys:
            at = keys.index(self.view.sort) if self.view.sort in keys else -1
            self.see(replace(self.view, sort=keys[(at + 1) % len(keys)], descending=False))

    def sort_other_way(self) -> None:
        """Sort the other way round."""
        self.see(replace(self.view, descending=not self.view.descending))

    def sort_by(self, key: str) -> None:
        """Sort by a column, or the other way round when it is sorted by it."""
        self.see(self.view.sorted_by(key))

    def open_columns(self) -> None:
        """Choose columns, their order, and what the rows are sorted by."""
        from screens.generic.columns import ColumnsDialog

        row = self.table.cursor_row
        offered = offered_columns(self._spec, self._context.role, [row] if row is not None else ())
        shown = [column.key for column in self.columns]
        dialog = ColumnsDialog(self._context, self._spec, offered, shown, self.view)
        self._context.desk.show(dialog, lambda view: self.see(view) if view is not None else None)

    def see(self, view: ListView) -> None:
        """Show the list in another way, and remember it."""
        before, self.view = self.view, view
        keep_view(self._context.settings, self._spec, view)
        self.fit_columns()
        if (view.sort, view.descending) != (before.sort, before.descending):
            self.table.set_sort(view.sort, view.descending)
            self._ordered()
