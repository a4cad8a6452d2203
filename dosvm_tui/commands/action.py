"""`dosvm AREA VERB ...` for what an area's declaration calls an action."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from core.errors import DosvmError, UsageError, from_wire, sentence
from core.i18n import N_, _, sentences
from core.rpc.backend import HostdBackend, call_each
from core.rules.many import AT_ONCE
from dosvm_tui import wiring
from dosvm_tui.commands import output
from dosvm_tui.commands.asking import make_sure
from dosvm_tui.commands.credentials import credentials
from dosvm_tui.commands.options import read_value, values_from_file, values_of
from dosvm_tui.commands.report import report
from dosvm_tui.commands.selecting import query_of, refuse_empty, rows_of, selects
from dosvm_tui.commands.waiting import Progress, tell_open, wait_for
from dosvm_tui.commands.whole import given_back, going, passed_over
from dosvm_tui.commands.words import Words, too_many
from screens.generic.known import check_filters
from screens.generic.offers import is_allowed
from screens.spec import PROJECT, SYSADM, Action, Danger, Kind, ResourceSpec, Target
from screens.values import filled, previewed, show

#: So many names are said in a question.
_MOST_NAMED = 20


class _Done(NamedTuple):
    """An answer to one call: on what, what it was, and the tasks that it left to hosts."""

    target: str | None
    label: str
    answer: dict[str, Any]
    tasks: tuple[str, ...]


def act(spec: ResourceSpec, action: Action, words: Words, form: str) -> int:
    """Do an action to each of the targets named, and return the exit code.

    Everything is asked for first and waited for then, so that many targets take as long as the slowest. With
    several targets each failure is a line of its own, and the others go on.

    Raises:
        DosvmError: it makes no sense, or with one target: it was refused or failed.
    """
    selected = selectable(spec, action) and selects(words)
    if selected:
        refuse_empty(words)
    names, arguments, rest = _arguments(spec, action, words, selected=selected)
    # Who selects rows has not typed which they are.
    asks = (asks_first(action) or (selected and action.danger is not Danger.NONE)) and not words.flags.get("yes")
    if asks and not action.preview and not selected:
        make_sure(_(N_("{what}? Type yes: ")).format(what=_what(action, names)))
    query = query_of(spec, words, spec.default_sort) if selected else {}
    who = credentials(words)
    for line in passed_over(spec, action, rest, SYSADM if who.account == SYSADM else PROJECT):
        print(output.printable(f"dosvm: {words.value('from')}: {line}"), file=sys.stderr)
    arguments |= {f.key: who.password for f in action.fields if f.own_password}
    backend = wiring.backend_for(who.account, who.password)
    known: dict[str | None, str] = {name: name for name in names}
    if selected:
        check_filters(backend, spec, query["filters"])
        fitting = (row for row in rows_of(backend, spec.lists_by, query) if is_allowed(action, row))
        known = {str(row[spec.reference]): str(row[spec.label]) for row in fitting}
        if not known:
            if form != "table":
                output.write([], form)
            print(_("No row fits."), file=sys.stderr)
            return 0
        if asks and not action.preview:
            make_sure(_("{what}? Type yes: ").format(what=_what(action, list(known.values()))))
    lost = [] if words.flags.get("yes") else list(going(backend, spec, action, names, arguments))
    if lost:
        for line in lost:
            print(output.printable(line), file=sys.stderr)
        make_sure(_("{what}? Type yes: ").format(what=_what(action, names)))
    what = _what(action, list(known.values()))
    each: Sequence[str | None] = list(known) or [None]
    if asks and action.preview:
        for target in each:
            answer = backend.call(action.preview, **_on(spec, action, target), **arguments)
            for line in filled(_(action.warning), previewed(action, arguments, answer)).splitlines():
                print(output.printable(line), file=sys.stderr)
        make_sure(_("{what}? Type yes: ").format(what=what))
    wait = words.flags.get("wait", True)
    failed = False
    asked: list[_Done] = []
    for target, answer in _answers(backend, spec, action, each, arguments):
        if isinstance(answer, DosvmError):
            failed = _tell(answer, action, known.get(target), alone=len(each) == 1)
        else:
            asked.append(_done(action, known.get(target), arguments, answer))
    ended = _waited(backend, action, asked, alone=len(each) == 1) if wait else asked
    # However many were selected, programs get a list.
    _write(spec, action, ended, form=form, wait=wait, alone=len(each) == 1 and not selected)
    return 1 if failed or len(ended) < len(asked) else 0


def _waited(backend: HostdBackend, action: Action, asked: Sequence[_Done], *, alone: bool) -> list[_Done]:
    """Wait for all tasks, and tell which failed; what ended well."""
    ended: list[_Done] = []
    left = [task for done in asked for task in done.tasks]
    for done in asked:
        try:
            for task in done.tasks:
                outcome = wait_for(backend, task, done.label).get("outcome")
                left.remove(task)
                if outcome:
                    done.answer["outcome"] = outcome
            ended.append(done)
        except KeyboardInterrupt:
            tell_open(left)
            raise
        except DosvmError as error:
            left = [task for task in left if task not in done.tasks]
            _tell(error, action, done.target, alone=alone)
    return ended


def selectable(spec: ResourceSpec, action: Action) -> bool:
    """Whether the rows that an action is done to may be selected instead of named."""
    return action.target is Target.ROWS and bool(spec.lists_by)


def _what(action: Action, names: Sequence[str]) -> str:
    """What is done to what, for the question whether it shall be."""
    listed = ", ".join(names[:_MOST_NAMED])
    if len(names) > _MOST_NAMED:
        listed = _(N_("{names} and {count} more")).format(names=listed, count=len(names) - _MOST_NAMED)
    return f"{_(action.label)} {listed}".strip()


def _tell(error: DosvmError, action: Action, target: str | None, *, alone: bool) -> bool:
    if alone:
        raise error
    report(error, action.fields, about=target)
    return True


def _on(spec: ResourceSpec, action: Action, target: str | None) -> dict[str, str]:
    return {} if target is None else {action.argument or spec.argument: target}


def _answers(
    backend: HostdBackend,
    spec: ResourceSpec,
    action: Action,
    targets: Sequence[str | None],
    arguments: Mapping[str, Any],
) -> Iterator[tuple[str | None, Any]]:
    """Ask for each target, many by one call where that is possible; what it was answered, or why not."""
    at_once = AT_ONCE if action.many else 1
    for begin in range(0, len(targets), at_once):
        some = targets[begin : begin + at_once]
        named = [target for target in some if target is not None]
        try:
            if len(named) > 1:
                argument = action.argument or spec.argument
                answers = call_each(backend, action.operation, argument, named, arguments)
            elif action.uploads:
                answers = [_upload(backend, action, arguments)]
            else:
                answers = [backend.call(action.operation, **_on(spec, action, some[0]), **arguments)]
        except DosvmError as error:
            answers = [error] * len(some)
        yield from zip(some, answers, strict=True)


def _upload(backend: HostdBackend, action: Action, arguments: Mapping[str, Any]) -> dict[str, Any]:
    from core.rpc.upload import BrokenOff, Upload

    progress = Progress(f"{_(action.label)} {arguments.get('name', '')}")
    upload = None
    try:
        upload = Upload(backend, action.operation, action.uploads, dict(arguments))
        return upload.send(progress.sent)
    except KeyboardInterrupt:
        progress.clear()
        print(f"\ndosvm: {BrokenOff(begun=upload is not None).text()}", file=sys.stderr)
        raise
    finally:
        progress.clear()


def _done(action: Action, target: str | None, arguments: Mapping[str, Any], answer: dict[str, Any]) -> _Done:
    name = target or str(arguments.get("name") or answer.get("name") or "")
    if any(field.kind is Kind.TIME for field in action.fields):
        name = show(name, Kind.TARGET)  # what is done to all before a time is called by that
    tasks = answer.get("tasks") or [answer.get("task")]
    return _Done(
        target, f"{_(action.label)} {name}".strip(), answer, tuple(t for t in tasks if t) if action.task else ()
    )


def _write(spec: ResourceSpec, action: Action, ended: Sequence[_Done], *, form: str, wait: bool, alone: bool) -> None:
    if form != "table":
        answers = [done.answer.get("samples", done.answer) for done in ended]
        output.write(answers[0] if alone else answers, form)
        return
    for done in ended:
        for warning in done.answer.get("warnings", ()):
            report(from_wire(warning), action.fields, about=done.target)
        if "samples" in done.answer:
            output.write_samples(done.answer["samples"], spec.columns)
        elif "lines" in done.answer:
            output.write_lines(done.answer["lines"])
        elif action.target is Target.NOTHING and not action.fields:
            output.write_details(done.answer, spec.columns)
        elif done.tasks and not wait:
            for task in done.tasks:
                print(_("{what}: task {task}").format(what=output.printable(done.label), task=task))
        elif done.answer.get("host") and any(field.key == "host" for field in action.fields):
            # Where it was placed, when that was left to the cloud.
            host = output.printable(str(done.answer["host"]))
            print(_(N_("{what}: done, on {host}")).format(what=output.printable(done.label), host=host))
        else:
            text = _("{what}: done").format(what=output.printable(done.label))
            found = sentence(done.answer.get("outcome", ""))
            print(sentences(_(N_("{text}.")).format(text=text), output.printable(found)) if found else text)


def _arguments(
    spec: ResourceSpec, action: Action, words: Words, *, selected: bool
) -> tuple[list[str], dict[str, Any], dict[str, Any]]:
    """What the action acts on, unless that is ``selected``; its other arguments; what a file says beside them."""
    bare = list(words.bare)
    positional = [f for f in action.fields if f.positional and f.command_line]
    targets: list[str] = []
    if action.target is not Target.NOTHING and not spec.single and not selected:
        if not bare:
            raise UsageError(N_("{option} is missing."), option=spec.name.upper())
        take = len(bare) - len(positional) if action.target is Target.ROWS else 1
        targets, bare = bare[:take], bare[take:]
    given: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    path = words.value("from")
    if path is not None:
        given, rest = values_from_file(path, action.fields, given_back(spec))
    for field, text in zip(positional, bare, strict=False):
        given[field.key] = read_value(field, text)
    if len(bare) > len(positional):
        raise too_many(bare[len(positional)], f"{spec.name} {action.verb}")
    return targets, values_of(action.fields, words, given), rest


def asks_first(action: Action) -> bool:
    """Whether the command asks before it acts: a command typed in full means it, unless it destroys something."""
    if action.danger is Danger.CONFIRM:
        return action.verb == "delete" or bool(action.preview)
    return action.danger is Danger.TYPE_NAME
