"""A form in a dialog: typed, checked, sent; what the service finds wrong appears at its field."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from textual import events
from textual.app import ComposeResult
from textual.timer import Timer
from textual.widget import Widget

from core.errors import AuthenticationFailed, Conflict, DosvmError, InvalidInput, NeedsConsent
from core.i18n import N_, _
from screens import registry
from screens.base import BaseDialog
from screens.context import Context, is_away
from screens.generic.confirm import Confirm, Words
from screens.generic.fields import form_fields, form_texts, offered, together
from screens.generic.picker import Picker
from screens.generic.taken import NameCheck
from screens.spec import Field, Kind
from widgets.form import Form
from widgets.inputs import LineInput, PickWanted
from widgets.members_input import MembersInput
from widgets.paragraph import Paragraph
from widgets.push_button import PushButton
from widgets.rows_input import RowsInput, RowWanted

#: What a form is sent to: the values, and which of them were changed. Runs in a thread.
Submit = Callable[[dict[str, Any], set[str]], Any]


#: Seconds after the last key until the cloud is asked about a name.
ASK_AFTER = 0.4


class FormDialog(BaseDialog[Any]):
    """A form. Its result is what :class:`Submit` returned, or the values when there is nothing to send them to."""

    BOX_CLASSES = "-wide"
    DEFAULT_CSS = """
    FormDialog Form { max-height: 70vh; }
    FormDialog #warning { margin-bottom: 1; max-height: 35vh; }
    FormDialog #aside { margin-bottom: 1; max-height: 4; }
    FormDialog #hint { height: auto; min-height: 2; max-height: 3; margin-top: 1; }
    FormDialog #wrong { max-height: 4; }
    """

    def __init__(
        self,
        context: Context,
        title: Callable[[], str],
        fields: Sequence[Field],
        submit: Submit | None,
        *,
        prefill: Mapping[str, Any] | None = None,
        button: Callable[[], str] | None = None,
        warning: Callable[[], str] | None = None,
        aside: Callable[[], str] | None = None,
        type_name: str = "",
        quick: bool = False,
        rule: str = "",
        renew: Callable[[], Mapping[str, Any]] | None = None,
        check: NameCheck | None = None,
        mine: Mapping[str, Any] | None = None,
        error: DosvmError | None = None,
        under_way: Callable[[], str] | None = None,
    ) -> None:
        """Make a form.

        Args:
            context: the context.
            title: gives the frame's title.
            fields: as declared.
            submit: where the values go; None for a form inside a form.
            prefill: values to begin with.
            button: gives the word of the button that sends it.
            warning: gives what will happen, for things that do harm; the focus then rests on No.
            aside: gives what it leaves alone, where it has no warning that says it.
            type_name: what must be typed before the button works.
            rule: name of a rule between the fields.
            quick: where nothing must be typed, the focus rests on the button: one more Enter is enough.
            renew: for an edit: gives the values as they are now, when somebody else was faster; runs in a thread.
            check: asks the cloud about the name, while one types.
            mine: what was typed an earlier time, which counts as typed.
            error: what became of that.
            under_way: gives what is said from the moment it is sent until the answer, for what may take long.
        """
        super().__init__(context)
        self._title = title
        self._fields = offered(fields)
        self._submit = submit
        self.prefill = prefill
        self._renew = renew
        self._name_check = check
        self._name_waits: Timer | None = None
        self._button = button or (lambda: _(N_("Save")))
        self._warning = warning
        self._aside = aside if warning is None else None
        self._type_name = type_name
        self._quick = quick
        self._rule = rule
        self._under_way = False
        self._says_under_way = under_way
        #: What is wrong as a whole, and what was found wrong with a field since it was typed.
        self._error: DosvmError | None = None
        self._at_field: DosvmError | None = None
        self._mine, self._before = mine, error
        #: What was sent last, as far as it differs from what the form began with.
        self.typed: dict[str, Any] = {}
        #: Arguments by which somebody said that what the operation asked about is meant; for the next try alone.
        self.consents: dict[str, Any] = {}
        if warning:
            self.BOX_CLASSES = "-wide -danger"

    # -- made

    def title_text(self) -> str:
        """See :class:`widgets.dialog.Dialog`."""
        return self._title()

    def body(self) -> ComposeResult:
        """The warning, the form, the hint of the field one is at, and what went wrong as a whole."""
        if self._warning:
            yield Words(self._warning(), id="warning")
        elif self._aside:
            yield Words(self._aside(), id="aside")
        yield Form(form_fields(self._fields, self.prefill), form_texts(), together=together(self._rule), id="form")
        if self._type_name:
            yield Paragraph(self._asks(), id="asks", classes="-muted")
            yield LineInput(id="name")
        yield Paragraph("", id="hint", classes="-muted")
        yield Paragraph("", id="wrong", classes="-error")

    def _asks(self) -> str:
        return _("Type {name} to confirm:").format(name=self._type_name)

    def buttons(self) -> list[Widget]:
        """The harmless one first."""
        leave = _("No") if self._warning else _(N_("Cancel"))
        return [
            Paragraph(self._how(), classes="-muted", id="how"),
            PushButton(leave, "leave", id="leave"),
            PushButton(self._button(), "send", id="send", danger=bool(self._warning)),
        ]

    def on_mount(self) -> None:
        """Where harm is done, the focus rests on No; see ``quick`` for the rest."""
        if self._mine is not None:
            self.call_after_refresh(self._go_on_with_mine)
            return
        if (self._quick or self._warning) and not any(field.required for field in self._fields):
            self.call_after_refresh(self.query_one("#leave" if self._warning else "#send").focus)

    def _go_on_with_mine(self) -> None:
        """What was typed an earlier time, and what was wrong with it."""
        self.form.start_again(form_fields(self._fields, self.prefill), self._mine or {})
        if self._before is not None:
            self._refused(self._before)

    def _how(self) -> str:
        if self._under_way and self._says_under_way is not None:
            return self._says_under_way()
        how = _(N_("Ctrl+S sends, Esc leaves"))
        if any(field.panel for field in self._fields):
            how += _(N_(", F7 F8 panels"))
        return how + _(N_(", F1 helps"))

    @property
    def form(self) -> Form:
        """The form."""
        return self.query_one(Form)

    def needed(self) -> list[Widget]:
        """See :class:`widgets.dialog.Dialog`: the field one is at as well, its rule, and what went wrong."""
        row = self.form.focused_row
        return [*super().needed(), *self.query("#hint, #wrong"), *([row] if row is not None else [])]

    # -- the hand

    @property
    def focus_chain(self) -> list[Widget]:
        """After the fields Tab comes to what sends the form, unless that does harm, and then to what leaves it."""
        chain = super().focus_chain
        keys = [widget.id for widget in chain]
        if not self._warning and "leave" in keys and "send" in keys:
            leave, send = keys.index("leave"), keys.index("send")
            chain[leave], chain[send] = chain[send], chain[leave]
        return chain

    def on_key(self, event: events.Key) -> None:
        """A long warning is scrolled through."""
        for words in self.query(Words):
            words.turn(event)

    def key_ctrl_s(self) -> None:
        """Send it."""
        self.send()

    def key_ctrl_z(self) -> None:
        """Give the field back what it began with."""
        self.form.take_back()

    def key_f1(self) -> None:
        """What each field is for."""
        from screens.special.help import help_of_form

        fields = self._fields
        self.context.desk.show(help_of_form(self.context, self._title, lambda: form_fields(fields, {})))

    def key_f7(self) -> None:
        """The panel before."""
        self.form.next_panel(-1)

    def key_f8(self) -> None:
        """The panel after."""
        self.form.next_panel(1)

    key_ctrl_pageup = key_f7
    key_ctrl_pagedown = key_f8

    def on_push_button_pressed(self, event: PushButton.Pressed) -> None:
        """Send it or leave it."""
        event.stop()
        if event.press == "send":
            self.send()
        else:
            self.leave()

    @property
    def unsaved(self) -> bool:
        """See :class:`screens.base.BaseDialog`."""
        return self._under_way or any(form.dirty for form in self.query(Form))

    def leave(self) -> None:
        """Close it; what was typed is not thrown away without asking, nor is an answer that is on its way."""
        if not self.unsaved:
            self.dismiss(None)
            return
        if self._under_way:
            text, word = N_("This is sent already, and not answered yet. Leave without the answer?"), N_("Leave")
        else:
            text, word = N_("What you typed is not saved. Throw it away?"), N_("Throw away")
        question = Confirm(self.context, lambda: _(N_("Leave the form")), lambda: _(text), lambda: _(word))

        def answered(yes: bool | None) -> None:
            if yes:
                self.dismiss(None)

        self.context.desk.show(question, answered)

    def on_form_completed(self) -> None:
        """After the last field come the buttons."""
        self.query_one("#send").focus()

    def on_form_hint_changed(self, event: Form.HintChanged) -> None:
        """Say the rule of the field one is at."""
        event.stop()
        self.query_one("#hint", Paragraph).set(event.hint)

    def on_form_touched(self, event: Form.Touched) -> None:
        """Ask the cloud about the name once the typing rests; nobody waits for the answer."""
        event.stop()
        if self._at_field is not None and event.key == self._at_field.field:
            self._at_field = None
        if self._name_check is not None and event.key in self._name_check.watched:
            if self._name_waits is not None:
                self._name_waits.stop()
            self._name_waits = self.set_timer(ASK_AFTER, self._ask_about_name)

    def _ask_about_name(self) -> None:
        check = self._name_check
        typed = self.form.values()
        if check is None or check.key not in self.form.changed():
            return

        def told(sentence: str) -> None:
            if sentence and self.form.values().get(check.key) == typed.get(check.key):
                self.form.warn(check.key, sentence)

        # What cannot be asked now is found when it is sent.
        self.ask(lambda: check.ask(typed), told, lambda _error: None, key="name")

    # -- sent

    def send(self) -> None:
        """Check, and send what is right."""
        if self._under_way or not self.form.check():
            return
        if self._type_name and self.query_one("#name", LineInput).value.strip() != self._type_name:
            self._say_wrong(InvalidInput(N_("The name is not typed as it is written.")))
            self.query_one("#name").focus()
            return
        typed, changed = self.form.values(), self.form.changed()
        self.typed = {key: typed.get(key) for key in changed}
        submit = self._submit
        if submit is None:
            self.dismiss(typed)
            return
        self._under_way = True
        self.query_one("#send", PushButton).set_enabled(False)
        self._say_wrong(None)
        self._say_how()
        aside = self._says_under_way is not None
        self.ask(lambda: submit(typed, changed), self._sent, self._refused, aside=aside)

    def _sent(self, result: Any) -> None:
        self.dismiss(result if result is not None else {})

    def _refused(self, error: DosvmError) -> None:
        """Say it where it belongs: at the field, or under the form. The form stays as it is."""
        if self._renew is not None and isinstance(error, Conflict) and error.field in (None, "version"):
            renew, conflict = self._renew, error
            self.ask(renew, lambda now: self._meet(conflict, now), self._refused)
            return
        self._under_way = False
        self._say_how()
        self._error = None
        self.consents = {}
        # Whether to leave without the answer is no question any more.
        self.come_to_front()
        self.query_one("#send", PushButton).set_enabled(True)
        if isinstance(error, NeedsConsent) and self._submit is not None:
            self._ask_consent(error)
            return
        if error.field and self.form.set_error(error.field, error.text()):
            self._at_field = error
            return
        self._say_wrong(error)
        if is_away(error) or (isinstance(error, AuthenticationFailed) and not error.field):
            self.context.desk.explain(error)

    def _ask_consent(self, error: NeedsConsent) -> None:
        """Ask whether what somebody else loses by it is meant; it is sent once more then, with that word."""
        argument = str(error.parameters.get("argument", ""))
        word = str(error.parameters.get("answer", ""))
        question = Confirm(self.context, self._title, error.question, lambda: _(word))

        def answered(yes: bool | None) -> None:
            if yes:
                self.consents = {argument: error.parameters.get("agreed", True)}
                self.send()
            elif error.field:
                self.form.focus_field(error.field)

        self.context.desk.show(question, answered)

    def _meet(self, conflict: Conflict, now: Mapping[str, Any]) -> None:
        """Somebody else was faster: show what they changed and let it be decided; nothing is overwritten unseen."""
        from screens.generic.conflict import ConflictDialog, Decision
        from screens.generic.differences import differences, kept

        self._under_way = False
        self.come_to_front()
        self.query_one("#send", PushButton).set_enabled(True)
        typed, changed = self.form.values(), self.form.changed()
        mine = {key: typed.get(key) for key in changed}
        found = differences(self._fields, self.prefill or {}, now, mine, conflict.parameters.get("changed"))

        def decided(decision: Decision | None) -> None:
            if decision is None:
                return
            self.prefill = now
            self.form.start_again(form_fields(self._fields, now), decision.mine)
            if not decision.send:
                self.form.focus_first()
            elif self.form.changed():
                self.send()
            else:
                self.context.desk.notice(_(N_("Nothing of yours is left to be saved.")))
                self.dismiss(None)

        if found:
            who = str(conflict.parameters.get("who") or "")
            self.context.desk.show(ConflictDialog(self.context, who, found, mine), decided)
        elif now.get("version") == (self.prefill or {}).get("version"):
            # The same moment: it is not written yet what the other one changed.
            self._say_wrong(conflict)
        else:
            # They changed what this form does not show, or the same to the same: nothing of theirs is touched.
            decided(Decision(kept(found, mine, ()), send=True))

    def _say_how(self) -> None:
        self.query_one("#how", Paragraph).set(self._how())

    def _say_wrong(self, error: DosvmError | None) -> None:
        self._error = error
        self.query_one("#wrong", Paragraph).set(error.text() if error is not None else "")

    # -- picked, and rows inside

    def _field(self, key: str) -> Field:
        return next(field for field in self._fields if field.key == key)

    def on_pick_wanted(self, event: PickWanted) -> None:
        """Offer the list that a reference is picked from."""
        event.stop()
        field = self._field(event.key)
        if not field.resource:
            return
        row = self.form.rows[event.key]
        many = field.kind is Kind.REFERENCES

        def picked(references: list[Any] | None) -> None:
            if references is not None:
                if isinstance(row.input, MembersInput):
                    row.input.add(references)
                else:
                    row.input.put(references[0])
                row.set_error("")
                self.form.touched(event.key)
            row.input.focus()

        spec = registry.resource(field.resource)
        picker = Picker(self.context, spec, field.filters, many=many, also=field.also, beware=field.beware)
        self.context.desk.show(picker, picked)

    def on_row_wanted(self, event: RowWanted) -> None:
        """Open the form of one row of a table inside."""
        event.stop()
        field = self._field(event.key)
        rows = self.form.rows[event.key].input
        if not isinstance(rows, RowsInput):
            return
        prefill = self._row_again(field, rows.rows[event.index]) if event.index >= 0 else None

        def typed(row: dict[str, Any] | None) -> None:
            if row is not None:
                kept = {key: value for key, value in row.items() if value is not None and value != ""}
                rows.set_row(event.index, self._secrets_left(field, prefill or {}, kept) | kept)
            rows.focus()

        inner = FormDialog(
            self.context,
            lambda: _(field.label),
            field.fields,
            None,
            prefill=prefill,
            button=lambda: _(N_("Take over")),
            rule=field.row_rule,
        )
        self.context.desk.show(inner, typed)

    @staticmethod
    def _row_again(field: Field, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row to begin its form with: what was left out of it as empty, or as not applying, is the default again."""
        said = (Kind.CHOICE, Kind.BOOLEAN)
        return {one.key: one.default for one in field.fields if one.kind in said} | dict(row)

    @staticmethod
    def _secrets_left(field: Field, before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
        """The secrets typed into a row earlier: no form begins with them, and left empty they stay."""
        secrets = (one.key for one in field.fields if one.kind is Kind.SECRET)
        return {key: before[key] for key in secrets if before.get(key) and not now.get(f"clear_{key}")}

    def retranslate(self) -> None:
        """See :class:`screens.base.BaseDialog`."""
        super().retranslate()
        self.form.relabel(form_fields(self._fields, self.prefill), form_texts())
        self._say_how()
        self.query_one("#leave", PushButton).set_label(_("No") if self._warning else _("Cancel"))
        self.query_one("#send", PushButton).set_label(self._button())
        words = self._warning or self._aside
        if words:
            self.query_one(Words).set(words())
        if self._type_name:
            self.query_one("#asks", Paragraph).set(self._asks())
        if self._at_field is not None and self._at_field.field:
            self.form.say_at(self._at_field.field, self._at_field.text())
        elif self._name_check is not None:
            self._ask_about_name()
        self._say_wrong(self._error)
