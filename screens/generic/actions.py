"""From a declared action to what happens: asked, typed, confirmed, sent, followed. For lists and details alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from core.errors import DosvmError, NotFound
from core.i18n import N_, _, sentences
from core.rpc.backend import call_each
from core.rpc.upload import Upload
from core.rules.many import AT_ONCE
from screens.context import Context, is_away
from screens.generic.cells import identity_of, label_of
from screens.generic.confirm import LISTED, Confirm, names_of
from screens.generic.fields import offered, sent
from screens.generic.form_dialog import FormDialog
from screens.generic.offers import is_allowed, why_not, why_unfit
from screens.generic.report import BulkReport
from screens.generic.taken import name_check
from screens.spec import Action, Danger, Kind, ResourceSpec, Row, Target
from screens.taskbook import Followed
from screens.values import filled, line_text, previewed, show

_NOTHING: Mapping[str, str] = {}
#: Called when something was changed, so that the screen looks again.
Done = Callable[[], None]
#: Opens the form again with what was typed, and what became of it.
Again = Callable[[DosvmError | None], None]


class _Begun(NamedTuple):
    """A file of which hostd was told, and what tells it again."""

    begin: Callable[[], Upload]
    upload: Upload


class ActionRun:
    """One run of an action on some rows, from the key to the task."""

    def __init__(
        self,
        context: Context,
        spec: ResourceSpec,
        action: Action,
        rows: Sequence[Row],
        ask: Any,
        done: Done,
        *,
        given: Mapping[str, str] = _NOTHING,
        made: Callable[[str], None] | None = None,
        marked: int = 0,
    ) -> None:
        """Prepare a run.

        Args:
            context: the context.
            spec: the resource.
            action: what is done.
            rows: to which; none for a target of nothing.
            ask: the screen's :meth:`screens.base.Asking.ask`.
            done: called when something was changed.
            given: what references the form begins with, by key: of what the list is seen from.
            made: told the UUID of an object that is new.
            marked: how many other rows are marked: an action on one row leaves them alone, and says so.
        """
        self._context = context
        self._spec = spec
        fields = tuple(
            f._replace(default=given[f.key]) if f.kind is Kind.REFERENCE and f.key in given else f
            for f in action.fields
        )
        self._action = action._replace(fields=fields)
        #: A row that only lends its values to the form of a new one.
        self._template = rows[0] if rows and action.target is Target.NOTHING and action.prefill else None
        self._rows = [] if self._template is not None else list(rows)
        self._ask = ask
        self._done = done
        self._made = made
        self._marked = marked if action.target is Target.ROW else 0
        #: Rows that were meant and that it makes no sense for, with why.
        self._left_out: list[tuple[Row, str]] = []
        #: What would happen to each of the first rows, before anything is asked.
        self._plans: list[tuple[Row, list[Any]]] = []

    # -- what is asked first

    def start(self) -> None:
        """Begin: a special screen, a form, a question, or at once."""
        action = self._action
        if action.target is not Target.NOTHING:
            why = why_not(action, self._rows)
            if why:
                self._say_senseless(why)
                return
            self._left_out = [(row, why) for row in self._rows if (why := why_unfit(action, row))]
            self._rows = [row for row in self._rows if is_allowed(action, row)]
        if action.screen and self._context.desk.open_special(
            action.screen, self._spec, self._rows[0] if self._rows else None
        ):
            return
        if action.plan:
            rows = self._rows[:LISTED]
            self._ask(lambda: self._plans_of(rows), self._planned, key="form", front=True)
        else:
            self._go_on()

    def _plans_of(self, rows: Sequence[Row]) -> list[tuple[Row, list[Any]]]:
        """What would happen to some rows; runs in a thread."""
        call = self._context.backend.call
        return [(row, list(call(self._action.plan, **self._reference(row))["lines"])) for row in rows]

    def _planned(self, plans: list[tuple[Row, list[Any]]]) -> None:
        self._plans = plans
        self._go_on()

    def _go_on(self) -> None:
        action = self._action
        if action.fields and offered(action.fields):
            self._open_form()
        elif action.danger is not Danger.NONE:
            self._confirm()
        else:
            self._run({})

    def _say_senseless(self, why: str) -> None:
        names = names_of([label_of(self._spec, row) for row in self._rows])
        text = _(N_("{action} makes no sense for {name} now.")).format(action=_(self._action.label), name=names)
        self._context.desk.notice(sentences(text, _(why)), "warning")

    def title(self) -> str:
        """What is done to what."""
        action = _(self._action.label)
        if self._template is not None:
            return f"{action}: {label_of(self._spec, self._template)}"
        if self._action.target is Target.NOTHING or not self._rows:
            return f"{action}: {_(self._spec.title if self._action.preview else self._spec.singular)}"
        return f"{action}: {self._names()}"

    def _names(self) -> str:
        if len(self._rows) == 1:
            return label_of(self._spec, self._rows[0])
        return _(N_("{resource} ({count})")).format(count=len(self._rows), resource=_(self._spec.title))

    def warning(self) -> str:
        """What will happen, to which, by name and number; and which of those meant are left out."""
        rows = self._rows
        template = _(self._action.warning) if self._action.warning else f"{_(self._action.label)}: {{name}}"
        if len(rows) == 1:
            said = [filled(template, rows[0]), *(line_text(line) for _row, lines in self._plans for line in lines)]
        else:
            first, *names = self._all_named()
            # Before the names: what is not said is read without scrolling.
            said = [first, *self._unplanned(), *names]
            if self._action.warning:
                what = filled(template, dict.fromkeys(("name", *rows[0]), "..."))
                said.append(_(N_("Each of them: {what}")).format(what=what))
            said += self._planned_for_each()
        said += [_(aside.why) for aside in self._action.asides if any(aside.when(row) for row in rows)]
        return "\n".join([*said, *self._asides()])

    def _planned_for_each(self) -> list[str]:
        said = []
        for row, lines in self._plans:
            if lines:
                said += [f"{label_of(self._spec, row)}:", *(f"  {line_text(line)}" for line in lines)]
        return said

    def _unplanned(self) -> list[str]:
        more = len(self._rows) - len(self._plans)
        if not self._plans or not more:
            return []
        text = N_(
            "What hangs on each is said of the first {count}, and not of {more} more: mark fewer to read it of all."
        )
        return [_(text).format(count=len(self._plans), more=more)]

    def _asides(self) -> list[str]:
        """What is left alone: of the rows that were meant those that do not fit, or all that are marked."""
        said = []
        if self._left_out:
            names = [f"{label_of(self._spec, row)} ({_(why).rstrip('.。')})" for row, why in self._left_out]
            said.append(_(N_("Left out ({count}): {names}.")).format(count=len(names), names=names_of(names)))
        if self._marked and self._rows:
            text = _(N_("This is for {name} alone; the {count} others that are marked stay as they are."))
            said.append(text.format(name=label_of(self._spec, self._rows[0]), count=self._marked))
        return said

    def _all_named(self) -> list[str]:
        """Every one of several rows: nobody says yes to what can only be counted. Many have a line each."""
        names = [label_of(self._spec, row) for row in self._rows]
        if len(names) <= LISTED:
            return [_(N_("{count} at once: {names}.")).format(count=len(names), names=", ".join(names))]
        return [
            _(N_("{count} at once (PageUp and PageDown scroll):")).format(count=len(names)),
            *(f"  {n}" for n in names),
        ]

    @property
    def _is_bulk(self) -> bool:
        """Whether it ends with a report: several rows were meant, even if it makes sense for one of them alone."""
        return len(self._rows) + len(self._left_out) > 1

    def _type_name(self) -> str:
        if self._action.danger is not Danger.TYPE_NAME or not self._rows:
            return ""
        return label_of(self._spec, self._rows[0]) if len(self._rows) == 1 else str(len(self._rows))

    def _confirm(self) -> None:
        if self._action.preview and len(self._rows) == 1:
            self._ask(
                lambda: self._call(self._one(), {}, self._action.preview),
                lambda found: self._question({}, lambda: self._previewed({}, found)),
                key="form",
                front=True,
            )
        else:
            self._question({}, self.warning)

    def _previewed(self, arguments: Mapping[str, Any], found: Mapping[str, Any]) -> str:
        return filled(_(self._action.warning), previewed(self._action, arguments, found))

    def _question(
        self, arguments: dict[str, Any], what: Callable[[], str], back: Callable[[], None] | None = None
    ) -> None:
        """Ask; after No it goes ``back`` to where it was typed."""
        question = Confirm(self._context, self.title, what, lambda: _(self._action.label), type_name=self._type_name())

        def answered(yes: bool | None) -> None:
            if yes:
                self._run(arguments)
            elif back is not None:
                back()

        self._context.desk.show(question, answered)

    # -- the form

    @property
    def _is_edit(self) -> bool:
        """Whether the form begins with the row's own values, and sends what was changed only."""
        action = self._action
        return action.target is Target.ROW and (bool(action.prefill) or self._fields_are_the_rows())

    def _fields_are_the_rows(self) -> bool:
        if self._action.danger is not Danger.NONE:
            return False
        fields = [field for field in offered(self._action.fields) if field.kind is not Kind.SECRET]
        return bool(fields) and not any(field.required for field in fields)

    def _open_form(self) -> None:
        if self._template is not None:
            self._ask(self._values_of_template, self._show_form, key="form", front=True)
        elif not self._is_edit:
            self._show_form(None)
        elif self._action.prefill or self._spec.shows_by:
            self._ask(self._values_now, self._show_form, key="form", front=True)
        else:
            self._show_form(self._rows[0])

    def _values_of_template(self) -> Mapping[str, Any]:
        """What a new object begins with: all of another but its name; runs in a thread."""
        assert self._template is not None
        arguments = self._reference(self._template, show=True)
        values: Mapping[str, Any] = self._context.backend.call(self._action.prefill, **arguments)
        return {key: value for key, value in values.items() if key not in ("name", "uuid", "version")}

    def _values_now(self) -> Mapping[str, Any]:
        """The form's values as the cloud has them; runs in a thread."""
        operation = self._action.prefill or self._spec.shows_by
        arguments = {} if self._spec.single else self._reference(self._rows[0], show=True)
        values: Mapping[str, Any] = self._context.backend.call(operation, **arguments)
        # Titles as lists and details show them; one that is left as it stands there is not sent.
        titles = {
            c.key: show(values[c.key], c.kind) for c in self._spec.columns if c.kind is Kind.TITLE and c.key in values
        }
        account = {"account": values["name"]} if "account" not in values and "name" in values else {}
        return {**values, **titles, **account}

    def _show_form(
        self,
        prefill: Mapping[str, Any] | None,
        mine: Mapping[str, Any] | None = None,
        error: DosvmError | None = None,
    ) -> None:
        """The form; ``mine`` is what was typed an earlier time, and ``error`` what became of that."""
        action = self._action
        if action.preview:
            self._show_previewed(prefill)
            return
        renewable = self._is_edit and prefill is not None and isinstance(prefill.get("version"), int)
        form: FormDialog = FormDialog(
            self._context,
            self.title,
            action.fields,
            None
            if self._is_bulk
            else lambda typed, changed: self._call(
                self._one(), self._sent(typed, changed, form.prefill) | form.consents
            ),
            prefill=prefill,
            button=lambda: _(N_("Save")) if action.verb == "edit" else _(action.label),
            warning=self.warning if action.danger is not Danger.NONE else None,
            aside=(lambda: "\n".join(self._asides())) if self._asides() else None,
            type_name=self._type_name(),
            quick=action.target is not Target.NOTHING and not self._is_edit,
            rule=action.rule,
            renew=self._values_now if renewable else None,
            check=name_check(self._context, self._spec, action.fields, self._one() if self._is_edit else None)
            if self._is_edit or action.target is Target.NOTHING
            else None,
            mine=mine,
            error=error,
            under_way=(lambda: _(N_("The file is being opened; Esc leaves"))) if action.uploads else None,
        )

        def again(error: DosvmError | None) -> None:
            self._show_form(form.prefill, form.typed, error)

        def closed(result: Any) -> None:
            if result is None:
                return
            if self._is_bulk:
                self._run(self._sent(result, set(result), None), again)
            else:
                self._went_well([(self._one(), result)], again)

        self._context.desk.show(form, closed)

    def _show_previewed(self, prefill: Mapping[str, Any] | None, mine: Mapping[str, Any] | None = None) -> None:
        """The form, then what would happen, and only then the question; No leads back to the form as it was."""
        action = self._action

        def look(typed: dict[str, Any], changed: set[str]) -> tuple[dict[str, Any], Mapping[str, Any]]:
            arguments = self._sent(typed, changed, prefill)
            return arguments, self._call(self._one(), arguments, action.preview)

        def looked(result: Any) -> None:
            if result is None:
                return
            arguments, answer = result
            self._question(
                arguments,
                lambda: self._previewed(arguments, answer),
                lambda: self._show_previewed(prefill, form.typed),
            )

        form = FormDialog(
            self._context, self.title, action.fields, look, prefill=prefill, button=lambda: _(N_("Next")), mine=mine
        )  # fmt: skip
        self._context.desk.show(form, looked)

    def _one(self) -> Row | None:
        return self._rows[0] if self._rows else None

    def _sent(self, typed: dict[str, Any], changed: set[str], prefill: Mapping[str, Any] | None) -> dict[str, Any]:
        arguments = sent(self._action.fields, typed, changed, only_changed=self._is_edit)
        if prefill is not None and self._is_edit and isinstance(prefill.get("version"), int):
            arguments["version"] = prefill["version"]
        return arguments

    # -- the call

    def _reference(self, row: Row, *, show: bool = False) -> dict[str, Any]:
        argument = self._spec.argument if show else self._action.argument or self._spec.argument
        return {argument: identity_of(self._spec, row)}

    def _call(self, row: Row | None, arguments: Mapping[str, Any], operation: str = "") -> Any:
        """Runs in a thread."""
        whole = dict(arguments)
        if row is not None and self._action.target is not Target.NOTHING and not self._spec.single:
            whole |= self._reference(row)
        if row is not None:
            whole |= {argument: row[key] for argument, key in self._action.passes.items()}
        if self._action.uploads and not operation:

            def begin() -> Upload:
                # Of whoever is logged in now, until all of it is there.
                backend = self._context.backend.same_session()
                return Upload(backend, self._action.operation, self._action.uploads, whole)

            return _Begun(begin, begin())
        try:
            return self._context.backend.call(operation or self._action.operation, **whole)
        except NotFound as error:
            raise self._gone(row, error) from error

    def _gone(self, row: Row | None, error: NotFound) -> NotFound:
        """What is said of a row that its list still has: by its name, and that it was there."""
        if row is None or error.parameters.get("name") != identity_of(self._spec, row):
            return error
        text = N_("There is no {kind} {name} any more.")
        return NotFound(text, field=error.field, kind=error.parameters.get("kind"), name=label_of(self._spec, row))

    def _call_some(self, rows: Sequence[Row], arguments: Mapping[str, Any]) -> list[Any]:
        """Runs in a thread; each row with what it was answered, or why it was refused."""
        if not self._action.many:
            return [(row, self._call(row, arguments)) for row in rows]
        argument = self._action.argument or self._spec.argument
        references = [identity_of(self._spec, row) for row in rows]
        ends = call_each(self._context.backend, self._action.operation, argument, references, arguments)
        return [
            self._gone(row, end) if isinstance(end, NotFound) else end if isinstance(end, DosvmError) else (row, end)
            for row, end in zip(rows, ends, strict=True)
        ]

    def _run(self, arguments: dict[str, Any], again: Again | None = None) -> None:
        rows = self._rows
        if self._is_bulk:
            report = BulkReport(
                self._context,
                self.title,
                [(label_of(self._spec, row), row) for row in rows],
                lambda some: self._call_some(some, arguments),
                lambda result: self._follow(*result),
                at_once=AT_ONCE if self._action.many else 1,
                left_out=[(label_of(self._spec, row), why) for row, why in self._left_out],
            )

            def reported(results: Sequence[tuple[Row | None, Any]] | DosvmError | None) -> None:
                if isinstance(results, DosvmError):
                    # What was typed for all of them is wrong: it is typed anew where it was.
                    if again is not None:
                        again(results)
                    return
                self._reported(results)

            self._context.desk.show(report, reported)
        else:
            row = self._one()
            self._ask(
                lambda: self._call(row, arguments),
                lambda result: self._went_well([(row, result)]),
                lambda error: self._went_ill(row, error),
                anywhere=True,
            )

    def _follow(self, row: Row | None, result: Any, again: Again | None = None) -> list[Followed]:
        """Follow the tasks that a call began, from the first of which a way leads back to the form; gives them."""
        if not isinstance(result, Mapping):
            return []
        tasks = [str(task) for task in (result.get("task"), *(result.get("tasks") or ())) if task]
        tasks = list(dict.fromkeys(tasks))
        for task in tasks:
            back = again if task == tasks[0] else None
            self._context.desk.follow(task, self._action.label, self._result_name(row, result), back)
        return [followed for task in tasks if (followed := self._context.tasks.get(task)) is not None]

    def _went_well(self, results: Sequence[tuple[Row | None, Any]], again: Again | None = None) -> None:
        for row, result in results:
            if isinstance(result, _Begun):
                name = self._result_name(row, result.upload.answer)
                self._context.desk.send_file(result.begin, result.upload, self._action.label, name, again)
                self._context.desk.notice(_(N_("{name} is being sent; F3 shows how far it is.")).format(name=name))
                self._done()
                return
        self._tell(
            results, followed=bool([task for row, result in results if (task := self._follow(row, result, again))])
        )

    def _reported(self, results: Sequence[tuple[Row | None, Any]] | None) -> None:
        """The report is closed; tasks were followed as they began."""
        begun = [result for _row, result in results or () if isinstance(result, Mapping)]
        self._tell(results or (), followed=any(result.get("task") or result.get("tasks") for result in begun))

    def _tell(self, results: Sequence[tuple[Row | None, Any]], *, followed: bool) -> None:
        if results and not followed:
            names = names_of([self._result_name(row, result) for row, result in results])
            self._context.desk.notice(_(N_("{action}: {name}: done.")).format(action=_(self._action.label), name=names))
        if results and self._made is not None and self._action.target is Target.NOTHING:
            answer = results[0][1]
            if isinstance(answer, Mapping) and isinstance(answer.get("uuid"), str):
                self._made(answer["uuid"])
        if results:
            self._done()

    def _went_ill(self, row: Row | None, error: DosvmError) -> None:
        """Nothing is sent later by itself: who pressed a key while the cloud was away is told so."""
        if is_away(error):
            name = label_of(self._spec, row) if row is not None else _(self._spec.singular)
            text = _(N_("{action}: {name}: not sent, or the answer was lost. Look again when the cloud is back."))
            self._context.desk.notice(text.format(action=_(self._action.label), name=name), "warning")
        self._context.desk.explain(error)

    def _result_name(self, row: Row | None, result: Any) -> str:
        if row is not None:
            return label_of(self._spec, row)
        if isinstance(result, Mapping):
            name = str(result.get(self._spec.label) or result.get("name") or _(self._spec.singular))
            # What is done to all before a time is called by that.
            times = any(field.kind is Kind.TIME for field in self._action.fields)
            return show(name, Kind.TARGET) if times else name
        return _(self._spec.singular)
