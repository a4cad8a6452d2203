"""`dosvm AREA VERB ...`: lists, shows and does what the area's declaration says."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from core.errors import InvalidInput, UsageError
from core.i18n import N_, _
from dosvm_tui import wiring
from dosvm_tui.commands import output
from dosvm_tui.commands.action import act, selectable
from dosvm_tui.commands.credentials import credentials
from dosvm_tui.commands.options import options_of, read_value
from dosvm_tui.commands.selecting import SELECTING, query_of, rows_of, selects
from dosvm_tui.commands.words import EVERYWHERE, Option, Words, part, too_many, unknown
from screens.generic.known import check_filters
from screens.spec import PROJECT, SYSADM, Column, Field, Kind, ResourceSpec

LIST_OPTIONS: tuple[Option, ...] = (
    *SELECTING,
    Option("sort", "COLUMN", N_("the order; with - in front the other way round")),
    Option("limit", "NUMBER", N_("at most so many rows")),
)


def verbs(spec: ResourceSpec) -> list[str]:
    """The verbs of an area, as its help lists them."""
    found = ["list"] if spec.lists_by else []
    found += ["show"] if spec.shows_by else []
    return found + [action.verb for action in spec.actions if action.command_line and action.operation]


def run(spec: ResourceSpec, verb: str, argv: Sequence[str]) -> int:
    """Run one command of an area and return the exit code.

    Raises:
        DosvmError: it was refused, failed, or makes no sense.
    """
    if verb not in verbs(spec):
        raise unknown(verb, verbs(spec), N_("There is no command {word} here."))
    if verb == "list":
        return _list(spec, part(argv, (*EVERYWHERE, *LIST_OPTIONS)))
    if verb == "show":
        return _show(spec, part(argv, EVERYWHERE))
    action = next(a for a in spec.actions if a.verb == verb and a.command_line)
    words = part(argv, (*EVERYWHERE, *options_of(action.fields), *(SELECTING if selectable(spec, action) else ())))
    return act(spec, action, words, output.format_of(words))


def _list(spec: ResourceSpec, words: Words) -> int:
    form = output.format_of(words)
    if words.bare:
        raise too_many(words.bare[0], f"{spec.name} list")
    query = query_of(spec, words, words.value("sort") or spec.default_sort)
    limit = _limit(words)
    who = credentials(words)
    backend = wiring.backend_for(who.account, who.password)
    # People read a row for each member of an object, programs the object once.
    check_filters(backend, spec, query["filters"])
    operation = spec.rows_by if form == "table" else spec.lists_by
    try:
        rows = list(rows_of(backend, operation, query, limit))
    except InvalidInput as error:
        if error.field != "sort":
            raise
        keys = ", ".join(dict.fromkeys(c.key for c in _columns(spec, who.account) if c.sorts))
        raise UsageError(N_("{option} takes a column; they are: {keys}."), option="--sort", keys=keys) from error
    if form != "table":
        output.write(rows, form)
    elif rows or not sys.stdout.isatty():
        output.write_rows(rows, _columns(spec, who.account))
    else:
        print(_(spec.empty) if not selects(words) else _(N_("No row fits.")))
    return 0


def _limit(words: Words) -> int | None:
    text = words.value("limit")
    return None if text is None else int(read_value(Field("limit", "", Kind.INTEGER, minimum=1), text))


def _show(spec: ResourceSpec, words: Words) -> int:
    form = output.format_of(words)
    most = 0 if spec.single else 1
    if len(words.bare) > most:
        raise too_many(words.bare[most], f"{spec.name} show")
    who = credentials(words)
    try:
        # Whether there is one to show when none is named (a project admin's own usage) is the service's to say.
        row = wiring.backend_for(who.account, who.password).call(
            spec.shows_by, **({spec.argument: words.bare[0]} if words.bare else {})
        )
    except InvalidInput as error:
        if words.bare or error.field != spec.argument:
            raise
        raise UsageError(N_("{option} is missing."), option=spec.name.upper()) from error
    if form == "table":
        forms = [action.fields for action in spec.actions if action.prefill]
        output.write_row(row, spec.columns, forms[0] if forms else ())
    else:
        output.write(row, form)
    return 0


def _columns(spec: ResourceSpec, account: str) -> list[Column]:
    """The columns for who asks; some roles read the same rows otherwise."""
    role = SYSADM if account == SYSADM else PROJECT
    return [column for column in spec.columns if role in column.roles]
