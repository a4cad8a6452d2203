"""`dosvm AREA VERB ...`: lists, shows and does what the area's declaration says."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import DosvmError, InvalidInput, Refused, UsageError
from core.i18n import N_, _
from core.rpc.backend import HostdBackend
from dosvm_tui import wiring
from dosvm_tui.commands import output
from dosvm_tui.commands.credentials import Credentials, credentials
from dosvm_tui.commands.options import options_of, read_value, values_from_file, values_of
from dosvm_tui.commands.report import report
from dosvm_tui.commands.waiting import wait_for
from dosvm_tui.commands.words import EVERYWHERE, Option, Words, part, unknown
from screens.spec import Action, Danger, Field, Kind, ResourceSpec, Target

LIST_OPTIONS: tuple[Option, ...] = (
    Option("search", "TEXT", N_("only rows whose names contain it")),
    Option("filter", "KEY=VALUE", N_("only rows with this value"), many=True),
    Option("sort", "COLUMN", N_("the order; with - in front the other way round")),
    Option("limit", "NUMBER", N_("at most so many rows")),
)
#: Rows fetched by one call; the most a list operation gives.
_PAGE = 1000
#: Keys that rows have and forms do not; passed over when a row comes back from a file.
_ROW_KEYS = frozenset({"uuid", "name", "version", "created", "reference"})


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
    action = next((a for a in spec.actions if a.verb == verb and a.command_line), None)
    if verb == "list" and action is None:
        return _list(spec, part(argv, (*EVERYWHERE, *LIST_OPTIONS)))
    if verb == "show" and action is None:
        return _show(spec, part(argv, EVERYWHERE))
    assert action is not None
    return _act(spec, action, part(argv, (*EVERYWHERE, *options_of(action.fields))))


def _format(words: Words) -> str:
    form = words.value("output") or "table"
    if form not in output.FORMATS:
        raise UsageError(N_("{option} is one of: {choices}."), option="-o", choices=", ".join(output.FORMATS))
    return form


def _backend(who: Credentials) -> HostdBackend:
    backend = wiring.connect()
    wiring.await_hostd()
    backend.use_password(who.account, who.password)
    return backend


# -- list and show


def _list(spec: ResourceSpec, words: Words) -> int:
    form = _format(words)
    if words.bare:
        raise UsageError(N_("{word} is too much."), word=words.bare[0])
    query = _query(spec, words)
    limit = _limit(words)
    backend = _backend(credentials(words))
    rows: list[dict[str, Any]] = []
    while limit is None or len(rows) < limit:
        page = _PAGE if limit is None else min(_PAGE, limit - len(rows))
        answer = backend.call(spec.lists_by, offset=len(rows), limit=page, **query)
        rows += answer["rows"]
        if not answer["rows"] or len(rows) >= answer["total"]:
            break
    if form != "table":
        output.write(rows, form)
    elif rows or not sys.stdout.isatty():
        output.write_rows(rows, spec.columns)
    else:
        print(_(spec.empty) if not words.values.keys() & {"search", "filter"} else _(N_("No row fits.")))
    return 0


def _query(spec: ResourceSpec, words: Words) -> dict[str, Any]:
    sort = words.value("sort") or spec.default_sort
    return {
        "search": words.value("search") or "",
        "filters": dict(_filter(spec, text) for text in words.values.get("filter", [])),
        "sort": sort.removeprefix("-"),
        "descending": sort.startswith("-"),
    }


def _filter(spec: ResourceSpec, text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    known = {f.key: f for f in spec.filters}
    if not equals or key not in known:
        raise UsageError(
            N_("{option} takes KEY=VALUE; the keys are: {keys}."), option="--filter", keys=", ".join(known) or "-"
        )
    found = known[key]
    kind = found.kind if found.kind in (Kind.BOOLEAN, Kind.INTEGER) else Kind.TEXT
    return key, read_value(Field(key, found.label, kind, option="filter", choices=found.choices), value)


def _limit(words: Words) -> int | None:
    text = words.value("limit")
    return None if text is None else int(read_value(Field("limit", "", Kind.INTEGER, minimum=1), text))


def _show(spec: ResourceSpec, words: Words) -> int:
    form = _format(words)
    most = 0 if spec.single else 1
    if len(words.bare) > most:
        raise UsageError(N_("{word} is too much."), word=words.bare[most])
    argument = _argument(spec)
    try:
        # Whether there is one to show when none is named (a project admin's own usage) is the service's to say.
        row = _backend(credentials(words)).call(spec.shows_by, **({argument: words.bare[0]} if words.bare else {}))
    except InvalidInput as error:
        if words.bare or error.field != argument:
            raise
        raise UsageError(N_("{option} is missing."), option=spec.name.upper()) from error
    if form == "table":
        forms = [action.fields for action in spec.actions if action.prefill]
        output.write_details(row, spec.columns, forms[0] if forms else ())
    else:
        output.write(row, form)
    return 0


def _argument(spec: ResourceSpec) -> str:
    return spec.name.replace("-", "_")


# -- actions


def _act(spec: ResourceSpec, action: Action, words: Words) -> int:
    form = _format(words)
    targets, arguments = _arguments(spec, action, words)
    if asks_first(action) and not words.flags.get("yes"):
        _confirm(action, targets)
    who = credentials(words)
    arguments |= {f.key: who.password for f in action.fields if f.own_password}
    backend = _backend(who)
    wait = words.flags.get("wait", True)
    failed = False
    each: Sequence[str | None] = targets or [None]
    for target in each:
        try:
            _act_on(backend, spec, action, target, arguments, form=form, wait=wait)
        except DosvmError as error:
            if len(targets) < 2:
                raise
            failed = True
            report(error, action.fields, about=target)
    return 1 if failed else 0


def _act_on(
    backend: HostdBackend,
    spec: ResourceSpec,
    action: Action,
    target: str | None,
    arguments: Mapping[str, Any],
    *,
    form: str,
    wait: bool,
) -> None:
    on = {} if target is None else {action.argument or _argument(spec): target}
    answer = backend.call(action.operation, **on, **arguments)
    name = target or str(arguments.get("name") or answer.get("name") or "")
    label = f"{_(action.label)} {name}".strip()
    task = answer.get("task") if action.task else None
    if task and wait:
        wait_for(backend, task, label)
    if form != "table":
        output.write(answer.get("samples", answer), form)
    elif "samples" in answer:
        output.write_samples(answer["samples"])
    elif action.target is Target.NOTHING and not action.fields:
        output.write_details(answer, spec.columns)
    elif task and not wait:
        print(_(N_("{what}: task {task}")).format(what=output.printable(label), task=task))
    else:
        print(_(N_("{what}: done")).format(what=output.printable(label)))


def _arguments(spec: ResourceSpec, action: Action, words: Words) -> tuple[list[str], dict[str, Any]]:
    """What the action acts on, and its other arguments."""
    bare = list(words.bare)
    positional = [f for f in action.fields if f.positional and f.command_line]
    targets: list[str] = []
    if action.target is not Target.NOTHING and not spec.single:
        if not bare:
            raise UsageError(N_("{option} is missing."), option=spec.name.upper())
        take = len(bare) - len(positional) if action.target is Target.ROWS else 1
        targets, bare = bare[:take], bare[take:]
    given: dict[str, Any] = {}
    path = words.value("from")
    if path is not None:
        columns = frozenset(c.key for c in spec.columns)
        given = values_from_file(path, action.fields, columns | _ROW_KEYS)
    for field, text in zip(positional, bare, strict=False):
        given[field.key] = read_value(field, text)
    if len(bare) > len(positional):
        raise UsageError(N_("{word} is too much."), word=bare[len(positional)])
    return targets, values_of(action.fields, words, given)


def asks_first(action: Action) -> bool:
    """Whether the command asks before it acts: a command typed in full means it, unless it destroys something."""
    return action.danger is Danger.TYPE_NAME or (action.danger is Danger.CONFIRM and action.verb == "delete")


def _confirm(action: Action, targets: Sequence[str]) -> None:
    if not sys.stdin.isatty():
        raise UsageError(N_("This needs --yes when nobody can be asked."))
    question = _(N_("{what} {names}? Type yes: ")).format(what=_(action.label), names=", ".join(targets))
    print(output.printable(question), end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("yes", "y", _(N_("yes"))):
        raise Refused(N_("Nothing was done."))
