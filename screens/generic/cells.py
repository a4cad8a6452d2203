"""From a row and its declaration to what a table and the details show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from core.i18n import _
from screens import values
from screens.spec import STATE_SIGNS, Column, Kind, ResourceSpec, Row
from widgets.column_layout import TableColumn
from widgets.field_list import Fact
from widgets.glyphs import glyphs
from widgets.virtual_table import Cell

#: Kinds that make no sense when cut.
_WHOLE = values.RIGHT | {Kind.STATE, Kind.BOOLEAN, Kind.TIME}
#: Kinds that need lines of their own in the details.
_LONG = frozenset({Kind.MULTILINE, Kind.XML})
#: Signs of states for fonts that have ASCII only.
_PLAIN_SIGNS = {"●": "*", "◐": "~", "◌": ".", "‖": "=", "▪": "-", "○": "o", "?": "?", "✗": "x"}
#: Seconds of silence that are worth saying.
_SILENCE = 15.0


def state_sign(state: str) -> tuple[str, str]:
    """The sign of a state word and the role of its colour."""
    sign, role = STATE_SIGNS.get(state, ("?", "muted"))
    return (sign if glyphs().braille else _PLAIN_SIGNS.get(sign, "?")), role


def is_silent(row: Row) -> bool:
    """Whether the host that the row's live values come from has not been heard of."""
    return row.get("state") in ("unknown", "down")


def cell(column: Column, row: Row, *, listed: bool = False) -> Cell:
    """One cell of a row; ``listed``: in a list, where times have seconds only if their column is as wide."""
    value = row.get(column.key)
    if column.kind is Kind.STATE and value:
        return _state_cell(row, str(value))
    if listed and value and column.kind is Kind.TIME and column.width < values.TIME_WIDTH:
        text = values.brief_time(value)
    else:
        text = values.show(value, column.kind, column.words)
    if column.live and is_silent(row):
        return Cell(text, "muted")
    if text == values.NOTHING:
        return Cell(text, "muted")
    return Cell(text)


def _state_cell(row: Row, value: str) -> Cell:
    sign, role = state_sign(value)
    text = f"{sign} {values.show(value, Kind.STATE)}"
    age = row.get("age")
    if isinstance(age, int | float) and age >= _SILENCE and is_silent(row):
        text += f" {values.show(age, Kind.DURATION)}"
    return Cell(text, role)


def listed(spec: ResourceSpec, role: str, width: int) -> list[Column]:
    """The columns of a list for a role on a terminal of some width, in cells."""
    offered = [c for c in spec.columns if not c.details_only and role in c.roles]
    # However narrow it is, rows are told apart.
    named = _naming(spec, offered)
    return [c for c in offered if c.from_width <= width or c.key == named]


def _naming(spec: ResourceSpec, columns: Sequence[Column]) -> str:
    """The key of the column that people know a row by."""
    return spec.label if any(c.key == spec.label for c in columns) else columns[0].key


def table_columns(spec: ResourceSpec, columns: Sequence[Column]) -> list[TableColumn]:
    """The table's columns, titles translated; the one people know a row by takes what is left over."""
    named = _naming(spec, columns)
    return [
        TableColumn(
            key=column.key,
            title=_(column.heading),
            width=column.width,
            right=column.kind in values.RIGHT,
            sortable=column.sort,
            flexible=column.key == named,
            shrinks=column.kind not in _WHOLE,
        )
        for column in columns
    ]


def row_cells(columns: Sequence[Column]) -> Callable[[Row], list[Cell]]:
    """The function from a row to its cells."""
    return lambda row: [cell(column, row, listed=True) for column in columns]


def facts(spec: ResourceSpec, role: str, row: Row) -> list[Fact]:
    """All that is known of a row: what is wrong first, long texts last, under headings of their own."""
    short: list[Fact] = []
    long: list[Fact] = []
    wrong: list[Fact] = []
    for column in spec.columns:
        if role not in column.roles or column.list_only:
            continue
        if column.key not in row:
            continue
        value = row[column.key]
        if column.kind is Kind.MEMBERS:
            long += [Fact("", " "), Fact(_(column.title), "", heading=True)]
            for member in value or ():
                state = _state_cell(member, str(member["state"]))
                long.append(Fact(str(member["name"]), state.text, state.role))
            if not value:
                long.append(Fact("", values.NOTHING))
            continue
        if column.kind in _LONG:
            text = values.show(value, column.kind)
            if text != values.NOTHING:
                if "error" in column.key:
                    wrong.append(Fact(_(column.title), text, "error"))
                else:
                    long += [Fact("", " "), Fact(_(column.title), "", heading=True), Fact("", text)]
            continue
        shown = cell(column, row)
        short.append(Fact(_(column.title), shown.text, shown.role))
    return wrong + short + long


def reference_of(spec: ResourceSpec, row: Row) -> Any:
    """What operations take to mean this row."""
    return row[spec.reference] if spec.reference in row else row.get("uuid")


def identity_of(spec: ResourceSpec, row: Row) -> Any:
    """What operations take to mean this very object, also when its name has gone to another one meanwhile."""
    return row.get("uuid") or reference_of(spec, row)


def row_key_of(spec: ResourceSpec, row: Row) -> str:
    """What tells a row from all others of its list."""
    return str(row[spec.row_key] if spec.row_key else reference_of(spec, row))


def label_of(spec: ResourceSpec, row: Row) -> str:
    """What people call this row; where there is only one, and it has no name of its own, what it is."""
    name = str(row.get(spec.label) or row.get(spec.reference) or "")
    if any(column.key == spec.label and column.kind is Kind.TARGET for column in spec.columns):
        name = values.show(name, Kind.TARGET)
    return _(spec.title) if spec.single and name in ("", spec.name) else name
