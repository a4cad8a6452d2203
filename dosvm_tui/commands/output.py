"""Answers as text: tables for people, JSON and YAML for programs."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from core.errors import UsageError
from core.i18n import N_, _
from dosvm_tui.commands.words import Words
from screens.spec import Column, Field, Kind
from screens.values import NOTHING, RIGHT, TIME_WIDTH, brief_time, line_text, show

FORMATS = ("table", "json", "yaml")
_GAP = "  "


def format_of(words: Words) -> str:
    """The form that ``-o`` asks for, one of :data:`FORMATS`.

    Raises:
        UsageError: it is none of them.
    """
    form = words.value("output") or "table"
    if form not in FORMATS:
        raise UsageError(N_("{option} is one of: {choices}."), option="-o", choices=", ".join(FORMATS))
    return form


def write(data: Any, form: str) -> None:
    """Print JSON data as ``json`` or ``yaml``."""
    if form == "json":
        print(json.dumps(data, ensure_ascii=False, indent=2))
        return
    import yaml  # only when asked for: it costs 20 ms

    print(yaml.safe_dump(data, allow_unicode=True, sort_keys=False, default_flow_style=False), end="")


def write_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> None:
    """Print rows as an aligned table; it is cut to the terminal only when there is one."""
    width = terminal_width()
    shown = [c for c in columns if not c.details_only and (width is None or c.from_width <= width)]
    shown = [c for c in shown if not rows or any(c.key in row for row in rows)]
    cells = [[_(column.heading) for column in shown]]
    cells += [[printable(_listed(row.get(c.key), c, width)) for c in shown] for row in rows]
    _print_table(cells, [c.kind in RIGHT for c in shown], width)


def _listed(value: Any, column: Column, width: int | None) -> str:
    """A value in a table: on a terminal times have seconds only where their column is as wide, as in the console."""
    if value and width is not None and column.kind is Kind.TIME and column.width < TIME_WIDTH:
        return brief_time(value)
    return show(value, column.kind, column.words)


def write_samples(samples: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> None:
    """Print samples of loads, each under its column's title; their times (Unix seconds) are local."""
    keys = list(samples[0]) if samples else []
    known = {column.key: column for column in columns}
    of = {key: known.get(key.removesuffix("_low").removesuffix("_high")) for key in keys}
    cells = [[_sample_heading(key, of[key]) for key in keys]]
    cells += [[_sample(key, sample.get(key), of[key]) for key in keys] for sample in samples]
    _print_table(cells, [key != "at" for key in keys], terminal_width())


#: What samples have and rows do not.
_SAMPLED = {"at": N_("Time"), "count": N_("Samples")}


def _sample_heading(key: str, column: Column | None) -> str:
    title = _(column.title) if column is not None else _(_SAMPLED[key]) if key in _SAMPLED else key
    if key.endswith("_low"):
        return _(N_("{load}, least")).format(load=title)
    return _(N_("{load}, most")).format(load=title) if key.endswith("_high") else title


def _sample(key: str, value: Any, column: Column | None) -> str:
    if key == "at" and isinstance(value, int | float):
        return show(datetime.fromtimestamp(value, UTC).replace(microsecond=0).isoformat(), Kind.TIME)
    return printable(show(value, column.kind if column is not None else Kind.TEXT))


def write_lines(lines: Sequence[Any]) -> None:
    """Print what an answer says in sentences, each on its own line; that there is nothing to say as well."""
    for line in lines or [{"message": N_("Nothing.")}]:
        print(printable(line_text(line)))


#: What a row has beside its columns and people read; the rest is for programs, and in JSON and YAML.
_MORE = {"uuid": N_("UUID"), "project": N_("Project"), "reference": N_("Reference")}


def write_row(row: Mapping[str, Any], columns: Sequence[Column], fields: Sequence[Field] = ()) -> None:
    """Print one row as lines of label and value: its columns, then what only its form has, then what it is told by."""
    told = {c.key for c in columns} | {f.key for f in fields}
    write_details({key: value for key, value in row.items() if key in told or key in _MORE}, columns, fields)


def write_details(row: Mapping[str, Any], columns: Sequence[Column], fields: Sequence[Field] = ()) -> None:
    """Print one row as lines of label and value: its columns, then what only its form has, then the rest as it is."""
    # A key that each role reads at another place is there once.
    once = {c.key: c for c in reversed(columns)}
    shown = [c for c in columns if c.key in row and once[c.key] is c and not c.list_only]
    lines = [(_(c.title), show(row[c.key], c.kind, c.words)) for c in shown]
    told = {c.key for c in columns}
    for field in fields:
        if field.key in row and field.key not in told:
            told.add(field.key)
            lines.append((_(field.label), _of_field(field, row[field.key])))
    lines += [
        (
            _(_MORE.get(key, key)),
            _counts(value)
            if isinstance(value, Mapping)
            else show(value, Kind.BOOLEAN if isinstance(value, bool) else Kind.TEXT),
        )
        for key, value in row.items()
        if key not in told
    ]
    widest = max((cells_of(label) for label, _value in lines), default=0)
    for label, value in lines:
        first, *more = value.splitlines() or [""]
        print(f"{_fit(label, widest, right=False)}{_GAP}{printable(first)}")
        for line in more:
            print(f"{' ' * widest}{_GAP}{printable(line)}")


def _counts(value: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {show(each, Kind.TEXT)}" for key, each in value.items())


def _of_field(field: Field, value: Any) -> str:
    if field.kind is Kind.ROWS:
        return "\n".join(_short(row, field.fields) for row in value or []) or NOTHING
    return show(value, field.kind, dict(field.choices))


def _short(row: Mapping[str, Any], fields: Sequence[Field]) -> str:
    """A row within a row as options write it, without what is so anyhow."""
    usual = {field.key: field.default for field in fields}
    return ",".join(
        f"{key}={show(value, Kind.BOOLEAN if isinstance(value, bool) else Kind.TEXT)}"
        for key, value in row.items()
        if value not in (None, "", [], usual.get(key)) or key == "type"
    )


def terminal_width() -> int | None:
    """The cells of a line when the output is a terminal, otherwise None."""
    return os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else None


def printable(text: str) -> str:
    """A text that cannot steer the terminal: control characters (ESC too) become a visible sign."""
    if text.isascii() and text.isprintable():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in ("Cc", "Cs") else c for c in text)


def cells_of(text: str) -> int:
    """How many cells a text takes: wide characters two, marks that join the one before them none."""
    if text.isascii():
        return len(text)
    return sum(_cells(c) for c in text)


def _cells(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _fit(text: str, width: int, *, right: bool) -> str:
    blank = " " * max(0, width - cells_of(text))
    return blank + text if right else text + blank


def _cut(text: str, width: int) -> str:
    if cells_of(text) <= width:
        return text
    kept, used = [], 0
    for character in text:
        used += _cells(character)
        if used >= width:
            break
        kept.append(character)
    return "".join(kept).rstrip() + "…"


def _print_table(cells: Sequence[Sequence[str]], right: Sequence[bool], width: int | None) -> None:
    if not cells[0]:
        return
    widths = [max(cells_of(row[i]) for row in cells) for i in range(len(cells[0]))]
    for row in cells:
        line = _GAP.join(
            _fit(text.replace("\n", " ") or NOTHING, w, right=r) for text, w, r in zip(row, widths, right, strict=True)
        ).rstrip()
        print(line if width is None else _cut(line, width))
