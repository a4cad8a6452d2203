"""Rows seen otherwise: as YAML on the screen, as CSV or JSON in a file."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from core.errors import DosvmError
from core.i18n import N_, _
from screens.context import Context
from screens.generic.cells import label_of, reference_of
from screens.generic.form_dialog import FormDialog
from screens.generic.viewer import Viewer, lines
from screens.spec import Field, Kind, ResourceSpec, Row

#: Rows asked for at once while all are written to a file.
PAGE = 1000
#: A cell beginning so is a formula to spreadsheets; a quote before it makes it text again.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def shown_again(context: Context, spec: ResourceSpec, row: Row) -> Any:
    """All that is known of a row, asked for now; runs in a thread."""
    if not spec.shows_by:
        return dict(row)
    arguments = {} if spec.single else {spec.name.replace("-", "_"): reference_of(spec, row)}
    return context.backend.call(spec.shows_by, **arguments)


def show_yaml(context: Context, spec: ResourceSpec, row: Row, ask: Any) -> None:
    """Open a row as YAML, in the form that ``dosvm AREA show -o yaml`` prints."""

    def work() -> str:
        import yaml

        return yaml.safe_dump(shown_again(context, spec, row), allow_unicode=True, sort_keys=False, width=1000)

    def came(text: str) -> None:
        context.desk.show(
            Viewer(context, lambda: f"{_(spec.singular)} {label_of(spec, row)}: YAML", lambda: lines(text))
        )

    ask(work, came)


def open_export(context: Context, spec: ResourceSpec, query: Mapping[str, Any]) -> None:
    """Ask where to, then write all rows of a list there."""
    now = datetime.now().astimezone()
    field_format = Field(
        "format",
        N_("Format"),
        Kind.CHOICE,
        required=True,
        default="csv",
        choices=(("csv", N_("CSV, for spreadsheets")), ("json", "JSON")),
    )
    field_file = Field(
        "file",
        N_("File"),
        required=True,
        default=f"dosvm-{spec.name}-{now:%Y%m%d-%H%M%S}",
        hint=N_("In your home directory; the ending is added. An existing file is not overwritten."),
    )

    def submit(typed: dict[str, Any], _changed: set[str]) -> dict[str, Any]:
        path = target(typed["file"], typed["format"])
        rows = all_rows(context, spec, query)
        write(path, as_csv(spec, rows) if typed["format"] == "csv" else as_json(rows))
        return {"path": str(path), "count": len(rows)}

    def written(result: dict[str, Any] | None) -> None:
        if result:
            text = _(N_("{count} rows written to {path}.")).format(**result)
            context.desk.notice(text)

    dialog = FormDialog(
        context,
        lambda: f"{_(N_('Write to a file'))}: {_(spec.title)}",
        (field_format, field_file),
        submit,
        button=lambda: _(N_("Write")),
    )
    context.desk.show(dialog, written)


def target(name: str, ending: str) -> Path:
    """The file that is meant: below the home directory, with its ending.

    Raises:
        DosvmError: it would be elsewhere.
    """
    home = Path.home()
    path = (home / name).resolve()
    if not path.is_relative_to(home.resolve()):
        raise DosvmError(N_("The file must be inside your home directory {home}."), field="file", home=str(home))
    return path if path.suffix == f".{ending}" else path.with_name(f"{path.name}.{ending}")


def all_rows(context: Context, spec: ResourceSpec, query: Mapping[str, Any]) -> list[Row]:
    """Every row of a list, page by page."""
    rows: list[Row] = []
    while True:
        answer = context.backend.call(spec.rows_by, **query, offset=len(rows), limit=PAGE)
        rows += answer["rows"]
        if not answer["rows"] or (len(rows) >= answer["total"] and not answer.get("more")):
            return rows


def write(path: Path, text: str) -> None:
    """Write a new file that only its owner reads.

    Raises:
        DosvmError: it exists, or cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
    except FileExistsError as error:
        raise DosvmError(N_("{path} exists already."), field="file", path=str(path)) from error
    except OSError as error:
        raise DosvmError(
            N_("{path} cannot be written: {reason}."), field="file", path=str(path), reason=error.strerror or str(error)
        ) from error


def as_csv(spec: ResourceSpec, rows: Sequence[Row]) -> str:
    """Rows as CSV: raw values under the declaration's keys, safe to open in a spreadsheet."""
    keys = [column.key for column in spec.columns]
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(keys)
    writer.writerows([_csv_cell(row.get(key)) for key in keys] for row in rows)
    return buffer.getvalue()


def _csv_cell(value: Any) -> Any:
    if isinstance(value, list | dict):
        value = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value


def as_json(rows: Iterable[Row]) -> str:
    """Rows as JSON, as the operations gave them."""
    return json.dumps(list(rows), ensure_ascii=False, indent=2) + "\n"
