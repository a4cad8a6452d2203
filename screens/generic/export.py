"""The rows of a list in a file, CSV or JSON: page by page, whatever their number, and whole or not at all."""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from textual.app import ComposeResult
from textual.widget import Widget

from core.errors import DosvmError
from core.i18n import N_, _, ngettext
from screens.base import BaseDialog
from screens.context import Context
from screens.generic.cells import row_key_of
from screens.generic.confirm import Confirm
from screens.generic.form_dialog import FormDialog
from screens.spec import Column, Field, Kind, ResourceSpec, Row
from widgets.glyphs import glyphs
from widgets.paragraph import Paragraph
from widgets.push_button import PushButton

#: Rows asked for at once.
PAGE = 1000
#: A cell beginning so is a formula to spreadsheets, full-width signs included; a quote before it makes it text again.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
#: Pages whose rows are remembered: rows that come or go meanwhile move others from one page to the next.
_REMEMBERED = 3
#: Cells of the progress bar.
_BAR = 40


@dataclass(frozen=True)
class Wish:
    """What is written where: ``columns`` of CSV; ``rows`` are given, or asked for by ``query``."""

    spec: ResourceSpec
    path: Path
    form: str
    columns: Sequence[Column]
    query: Mapping[str, Any]
    rows: Sequence[Row] | None = None


class Writer:
    """Writes rows into a new file beside the one that is meant, which appears at the end under its name."""

    def __init__(self, wish: Wish) -> None:
        """Begin the file; only its owner reads it.

        Raises:
            DosvmError: it cannot be written.
        """
        self._wish = wish
        self.count = 0
        self._keys: deque[frozenset[str]] = deque(maxlen=_REMEMBERED)
        self._part = wish.path.with_name(f".{wish.path.name}.{os.getpid()}.part")
        self._file: IO[str] | None = None
        with self._said():
            descriptor = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            self._file = os.fdopen(descriptor, "w", encoding="utf-8", newline="")
            if wish.form == "csv":
                # Without this mark spreadsheets take UTF-8 for the code page of their country.
                self._file.write(codecs.BOM_UTF8.decode())
                self._file.write(csv_lines([[heading(column) for column in wish.columns]]))
            else:
                self._file.write("[")

    def add(self, rows: Sequence[Row]) -> None:
        """Write a page; a row that was on one of the last pages already is not written twice.

        Raises:
            DosvmError: the disk refuses.
        """
        assert self._file is not None
        before: frozenset[str] = frozenset().union(*self._keys)
        fresh = [row for row in rows if row_key_of(self._wish.spec, row) not in before]
        self._keys.append(frozenset(row_key_of(self._wish.spec, row) for row in rows))
        with self._said():
            if self._wish.form == "csv":
                keys = [column.key for column in self._wish.columns]
                self._file.write(csv_lines([csv_cell(row.get(key)) for key in keys] for row in fresh))
            else:
                for row in fresh:
                    text = json.dumps(row, ensure_ascii=False, indent=1)
                    self._file.write(f"{',' if self.count else ''}\n{text}")
                    self.count += 1
        if self._wish.form == "csv":
            self.count += len(fresh)

    def finish(self, *, replace: bool) -> None:
        """Give the file its name.

        Args:
            replace: whether one of this name may be replaced.

        Raises:
            DosvmError: there is one meanwhile, or the disk refuses.
        """
        assert self._file is not None
        with self._said():
            if self._wish.form == "json":
                self._file.write("\n]\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            if replace:
                self._part.replace(self._wish.path)
            else:
                os.link(self._part, self._wish.path)
                self._part.unlink()

    def give_up(self) -> None:
        """Leave nothing behind."""
        if self._file is not None:
            self._file.close()
        self._part.unlink(missing_ok=True)

    def _said(self) -> _Said:
        return _Said(self._wish.path)


class _Said:
    """Makes sentences of what the disk refuses."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        path = str(self._path)
        if isinstance(error, FileExistsError):
            raise DosvmError(N_("{path} exists already."), field="file", path=path) from error
        if isinstance(error, OSError):
            reason = error.strerror or str(error)
            raise DosvmError(
                N_("{path} cannot be written: {reason}."), field="file", path=path, reason=reason
            ) from error


def csv_lines(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as lines of CSV (RFC 4180)."""
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()


def columns_for(spec: ResourceSpec, role: str) -> list[Column]:
    """All columns that a role reads, each once: some stand at another place for each role."""
    return list({column.key: column for column in spec.columns if role in column.roles}.values())


#: What a plain number or time of a kind is in, for a heading.
_UNITS = {
    Kind.SIZE: "B",
    Kind.RATE: "B/s",
    Kind.PERCENT: "%",
    Kind.DURATION: "s",
    Kind.RUN_TIME: "s",
    Kind.TIME: "UTC",
}


def heading(column: Column) -> str:
    """A column's title in the language now set, with the unit of its values, which are written as they are kept."""
    unit = _UNITS.get(column.kind)
    return f"{_(column.title)} [{unit}]" if unit else _(column.title)


def csv_cell(value: Any) -> Any:
    """A value as it is safe in a spreadsheet."""
    if isinstance(value, list | dict):
        value = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value


def target(name: str, ending: str) -> Path:
    """The file that is meant: below the home directory, with its ending.

    Raises:
        DosvmError: it would be elsewhere.
    """
    home = Path.home()
    path = (home / name).resolve()
    if not path.is_relative_to(home.resolve()) or path == home.resolve():
        raise DosvmError(N_("The file must be inside your home directory {home}."), field="file", home=str(home))
    return path if path.suffix == f".{ending}" else path.with_name(f"{path.name}.{ending}")


def open_export(
    context: Context, spec: ResourceSpec, query: Mapping[str, Any], shown: Sequence[Column], marked: Sequence[Row]
) -> None:
    """Ask what and where to, then write it.

    Args:
        context: the context.
        spec: the resource.
        query: which rows, in which order.
        shown: the columns now in the list.
        marked: the rows that are marked.
    """

    def submit(typed: dict[str, Any], _changed: set[str]) -> Wish:
        columns = shown if typed.get("columns") == "shown" else columns_for(spec, context.role)
        form = str(typed["format"])
        rows = list(marked) if typed.get("rows") == "marked" else None
        return Wish(spec, target(typed["file"], form), form, columns, query, rows)

    def asked(wish: Wish | None) -> None:
        if wish is None:
            return
        # Not Path.exists(), which fails for a name that is too long.
        if not os.path.exists(wish.path):
            _write(context, wish, replace=False)
            return
        question = Confirm(
            context,
            lambda: _(N_("Write to a file")),
            lambda: _(N_("{path} exists already. Write over it? What is in it is lost.")).format(path=wish.path),
            lambda: _(N_("Write over it")),
        )
        context.desk.show(question, lambda yes: _write(context, wish, replace=True) if yes else None)

    dialog = FormDialog(
        context,
        lambda: f"{_('Write to a file')}: {_(spec.title)}",
        _fields(spec, many=bool(marked)),
        submit,
        button=lambda: _(N_("Write")),
    )
    context.desk.show(dialog, asked)


def _fields(spec: ResourceSpec, *, many: bool) -> list[Field]:
    now = datetime.now().astimezone()
    return [
        Field(
            "format",
            N_("Format"),
            Kind.CHOICE,
            required=True,
            default="csv",
            choices=(("csv", N_("CSV, for spreadsheets")), ("json", "JSON")),
        ),
        *(
            [
                Field(
                    "rows",
                    N_("Rows"),
                    Kind.CHOICE,
                    required=True,
                    default="marked",
                    choices=(("marked", N_("those marked")), ("all", N_("all of this search and filter"))),
                )
            ]
            if many
            else []
        ),
        Field(
            "columns",
            N_("Columns"),
            Kind.CHOICE,
            required=True,
            default="all",
            choices=(("all", N_("all")), ("shown", N_("those shown"))),
            when=lambda values: values.get("format") == "csv",
        ),
        Field(
            "file",
            N_("Write to"),
            required=True,
            default=f"dosvm-{spec.name}-{now:%Y%m%d-%H%M%S}",
            hint=N_("In your home directory; the ending is added. Only you can read it."),
        ),
    ]


def _write(context: Context, wish: Wish, *, replace: bool) -> None:
    def written(count: int | None) -> None:
        if count is None:
            context.desk.notice(_(N_("Stopped; nothing was written.")), "warning")
        else:
            text = ngettext("{count} row written to {path}.", "{count} rows written to {path}.", count)
            context.desk.notice(text.format(count=count, path=wish.path))

    context.desk.show(ExportDialog(context, wish, replace=replace), written)


class ExportDialog(BaseDialog[int]):
    """Writes, says how far it is, and can be stopped. Its result is how many rows there are; None when stopped."""

    def __init__(self, context: Context, wish: Wish, *, replace: bool) -> None:
        """Make it; see :class:`Wish`."""
        super().__init__(context)
        self._wish = wish
        self._replace = replace
        self._writer: Writer | None = None
        self._total = 0
        self._offset = 0
        self._error: DosvmError | None = None
        self._gone = False

    @property
    def unsaved(self) -> bool:
        """See :class:`screens.base.BaseDialog`."""
        return self._error is None

    def title_text(self) -> str:
        """See :class:`widgets.dialog.Dialog`."""
        return f"{_('Write to a file')}: {_(self._wish.spec.title)}"

    def body(self) -> ComposeResult:
        """How far it is."""
        yield Paragraph(str(self._wish.path), classes="-muted")
        yield Paragraph("", id="far")
        yield Paragraph("", id="wrong", classes="-error")

    def buttons(self) -> list[Widget]:
        """Stop."""
        return [PushButton(_(N_("Stop")), "close", id="close")]

    def on_mount(self) -> None:
        """Begin."""
        self.query_one("#close").focus()
        self._show()
        self.ask(self._work, self._went, self._failed)

    def on_unmount(self) -> None:
        """Whatever ends it, nothing half-written stays."""
        self._gone = True
        if self._writer is not None:
            self._writer.give_up()

    def _work(self) -> tuple[int, bool]:
        """One page, from the cloud to the disk, in a thread; how many rows there are, and whether it was the last."""
        if self._writer is None:
            self._writer = Writer(self._wish)
        if self._wish.rows is not None:
            rows, total = self._wish.rows, len(self._wish.rows)
        else:
            spec = self._wish.spec
            answer = self.context.backend.call(spec.rows_by, **self._wish.query, offset=self._offset, limit=PAGE)
            rows, total = answer["rows"], answer["total"]
        if self._gone:
            # Stopped while the cloud was asked: nobody else takes the file away.
            self._writer.give_up()
            return total, True
        self._writer.add(rows)
        self._offset += len(rows)
        last = self._wish.rows is not None or len(rows) < PAGE
        if last:
            self._writer.finish(replace=self._replace)
        return total, last

    def _went(self, result: tuple[int, bool]) -> None:
        self._total, last = result
        self._show()
        if last and self._writer is not None:
            self.dismiss(self._writer.count)
        else:
            self.ask(self._work, self._went, self._failed)

    def _failed(self, error: DosvmError) -> None:
        self._error = error
        if self._writer is not None:
            self._writer.give_up()
        self._show()
        self.context.desk.explain(error)

    def _show(self) -> None:
        done = self._writer.count if self._writer else 0
        full = round(min(1.0, done / self._total) * _BAR) if self._total else 0
        bar = glyphs().bar_full * full + glyphs().bar_empty * (_BAR - full)
        self.query_one("#far", Paragraph).set(f"{bar}  {done} / {self._total or '?'}")
        self.query_one("#wrong", Paragraph).set(self._error.text() if self._error else "")
        self.query_one("#close", PushButton).set_label(_(N_("Close")) if self._error else _("Stop"))

    def on_push_button_pressed(self, event: PushButton.Pressed) -> None:
        """Stop."""
        event.stop()
        self.leave()

    def retranslate(self) -> None:
        """See :class:`screens.base.BaseDialog`."""
        super().retranslate()
        self._show()
