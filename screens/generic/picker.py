"""Picking one row, or several, of another resource's list."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from textual import events
from textual.app import ComposeResult
from textual.geometry import Offset
from textual.message import Message
from textual.widgets import Input

from core.errors import DosvmError
from core.i18n import N_, _
from screens.base import BaseDialog
from screens.context import Context
from screens.generic.cells import label_of, listed, reference_of, row_cells, table_columns
from screens.generic.offers import first_said
from screens.spec import Column, ResourceSpec, Row, Unfit
from widgets.inputs import LineInput
from widgets.pages import Want
from widgets.paragraph import Paragraph
from widgets.virtual_table import VirtualTable

#: Width the list is laid out for, in cells.
_WIDTH = 74


class PickTable(VirtualTable):
    """A table in which every letter is typed to search; none of them moves the cursor."""

    @dataclass
    class Typed(Message):
        """A letter or digit was typed."""

        character: str

    @property
    def cursor_screen_offset(self) -> Offset:
        """Where a letter that is typed here goes to: there the terminal's cursor stands."""
        return self.screen.query_one("#search", LineInput).cursor_screen_offset

    async def _on_key(self, event: events.Key) -> None:
        if event.character and event.character.isalnum():
            event.stop()
            event.prevent_default()
            self.post_message(self.Typed(event.character))


class Picker(BaseDialog[list[Any]]):
    """A list with a search line. Enter takes the row under the cursor, or those marked when several are wanted."""

    DEFAULT_CSS = """
    Picker Box { height: 20; max-height: 90%; }
    Picker VirtualTable { background: $panel; }
    Picker #beware { height: 1; }
    """

    def __init__(
        self,
        context: Context,
        spec: ResourceSpec,
        filters: Mapping[str, Any] | None = None,
        *,
        many: bool = False,
        take: Callable[[Sequence[Row]], None] | None = None,
        also: Sequence[str] = (),
        beware: Sequence[Unfit] = (),
    ) -> None:
        """Make a picker over a resource's list.

        Args:
            context: the context.
            spec: the resource.
            filters: fixed filters of its list.
            many: whether several may be taken.
            take: given the rows themselves, beside their references.
            also: keys of columns that are shown beside the usual ones.
            beware: what is said of rows for which it holds.
        """
        super().__init__(context)
        self._spec = spec
        self._filters = dict(filters or {})
        self._many = many
        self._take = take
        self._also = also
        self._beware = beware
        self._search = ""
        self._in_flight = False
        self._answered = False
        self._error: DosvmError | None = None
        self._labels: dict[str, str] = {}

    def title_text(self) -> str:
        """See :class:`widgets.dialog.Dialog`."""
        return _(self._spec.title)

    def body(self) -> ComposeResult:
        """The search line and the list."""
        columns = self._columns()
        yield LineInput(placeholder=_(N_("type to search")), id="search")
        yield PickTable(
            table_columns(self._spec, columns),
            row_cells(columns),
            lambda row: str(reference_of(self._spec, row)),
            id="rows",
        )
        if self._beware:
            yield Paragraph("", id="beware", classes="-warning")
        yield Paragraph(self._help(), id="help", classes="-muted")

    def _columns(self) -> list[Column]:
        role = self.context.role
        shown = listed(self._spec, role, _WIDTH)[:4]
        keys = {column.key for column in shown}
        more = [c for c in self._spec.columns if c.key in self._also and c.key not in keys and role in c.roles]
        return [*shown, *more]

    def _help(self) -> str:
        if self._error is not None:
            return self._error.text()
        if self._many:
            return _(N_("Space marks, Enter takes what is marked, Esc leaves it as it was."))
        return _(N_("Enter takes the row under the cursor, Esc leaves it as it was."))

    def _say_help(self) -> None:
        self.query_one("#help", Paragraph).set(self._help())

    def _nothing(self) -> str:
        return _(N_("Nothing found.")) if self._search else _(self._spec.empty)

    @property
    def table(self) -> VirtualTable:
        """The list."""
        return self.query_one(VirtualTable)

    def on_mount(self) -> None:
        """Fetch the first page."""
        # The letter after the one that went there would replace it.
        self.query_one("#search", LineInput).select_on_focus = False
        self.table.focus()
        self._pump()

    def look_again(self) -> None:
        """What could not be asked for while the cloud was away is asked for now."""
        if self.is_mounted:
            self._pump()

    def _pump(self) -> None:
        want = self.table.wanted()
        if want is None or self._in_flight:
            return
        self._in_flight = True
        search, spec, filters = self._search, self._spec, self._filters
        self.ask(
            lambda: self.context.backend.call(
                spec.lists_by,
                search=search,
                filters=filters,
                sort=spec.default_sort.lstrip("-"),
                descending=spec.default_sort.startswith("-"),
                offset=want.offset,
                limit=want.limit,
            ),
            lambda answer: self._came(want, answer),
            self._failed,
        )

    def _came(self, want: Want, answer: Mapping[str, Any]) -> None:
        self._in_flight = False
        self._answered = True
        self._error = None
        self._say_help()
        self.table.set_placeholder(self._nothing())
        self._labels |= {row["uuid"]: label_of(self._spec, row) for row in answer["rows"] if "uuid" in row}
        self.table.deliver(want, answer["rows"], answer["total"], more=answer.get("more", False))
        self._pump()

    def _failed(self, error: DosvmError) -> None:
        self._in_flight = False
        self._error = error
        self._say_help()
        self.context.desk.explain(error)

    def on_virtual_table_wanted(self) -> None:
        """The table needs rows."""
        self._pump()

    def on_virtual_table_highlighted(self) -> None:
        """Say what is to be thought of before this row is taken."""
        self._say_beware()

    def _say_beware(self) -> None:
        if self._beware:
            row = self.table.cursor_row
            why = first_said(self._beware, row) if row is not None else ""
            self.query_one("#beware", Paragraph).set(_(why) if why else "")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search while one types."""
        event.stop()
        if event.value != self._search:
            self._search = event.value
            self.table.restart()
            self._pump()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the row under the cursor as well; before what is typed is found, only go to the list."""
        event.stop()
        row = self.table.cursor_row
        if row is not None and self.table.loaded:
            self._take_rows(row)
        else:
            self.table.focus()

    def on_key(self, event: events.Key) -> None:
        """What is typed in the list goes to the search line, and Ctrl+U empties it; the arrow down leaves it."""
        searching = self.query_one("#search", LineInput)
        if event.key == "down" and searching.has_focus:
            event.stop()
            self.table.focus()
        elif event.key == "ctrl+u":
            event.stop()
            searching.value = ""
        elif event.is_printable and event.character and not searching.has_focus:
            event.stop()
            self._type("" if event.character == "/" else event.character)

    def on_pick_table_typed(self, event: PickTable.Typed) -> None:
        """A letter goes on with what is typed in the search line."""
        event.stop()
        self._type(event.character)

    def _type(self, text: str) -> None:
        searching = self.query_one("#search", LineInput)
        searching.focus()
        searching.value += text
        searching.cursor_position = len(searching.value)

    def on_virtual_table_activated(self, event: VirtualTable.Activated) -> None:
        """Take it."""
        event.stop()
        self._take_rows(event.row)

    def _take_rows(self, at: Row) -> None:
        """Close with what is marked where several are wanted; with the row at the cursor else."""
        rows = self.table.marked if self._many and self.table.marked else [at]
        self.dismiss([self._written(row) for row in rows])
        if self._take is not None:
            self.app.call_later(self._take, rows)

    def _written(self, row: Row) -> str:
        """What stands in the field: a name, which people can read, where it is one row's only; its reference else."""
        label = label_of(self._spec, row)
        if self._spec.reference != "uuid" or not (self._many or list(self._labels.values()).count(label) == 1):
            return str(reference_of(self._spec, row))
        return label

    def retranslate(self) -> None:
        """See :class:`screens.base.BaseDialog`."""
        super().retranslate()
        self.query_one("#search", LineInput).placeholder = _("type to search")
        self.table.set_columns(table_columns(self._spec, self._columns()))
        if self._answered:
            # Also while it is asked anew: what was said before still stands there.
            self.table.set_placeholder(self._nothing())
        self._say_beware()
        self._say_help()
