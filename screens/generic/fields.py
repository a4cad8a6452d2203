"""From a declared field to a field of a form: its kind of input, its text, its checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.errors import InvalidInput
from core.i18n import N_, _, sentences
from core.rules import FORM_RULES
from core.rules.sizes import UNITS
from screens import values
from screens.spec import Field, Kind, Row
from widgets.form_field import BadValue, FormField, FormTexts, InputKind
from widgets.text import one_line

#: The one map from a declared kind to an input.
INPUTS: Mapping[Kind, InputKind] = {
    Kind.MULTILINE: InputKind.LINES,
    Kind.XML: InputKind.LINES,
    Kind.BOOLEAN: InputKind.TOGGLE,
    Kind.CHOICE: InputKind.CHOICE,
    Kind.SECRET: InputKind.SECRET,
    Kind.REFERENCE: InputKind.PICK,
    Kind.REFERENCES: InputKind.PICKS,
    Kind.ROWS: InputKind.ROWS,
}
#: What stands for a secret, whatever it is and however long.
HIDDEN = "****"
_EXACT_UNITS = ("TiB", "GiB", "MiB", "KiB")


def form_texts() -> FormTexts:
    """What every form says of itself."""
    return FormTexts(needed=_(N_("This is needed.")), yes=_(N_("yes")), no=_(N_("no")))


def offered(fields: Sequence[Field]) -> list[Field]:
    """The fields that the console shows."""
    return [field for field in fields if field.console]


def form_fields(fields: Sequence[Field], prefill: Mapping[str, Any] | None = None) -> list[FormField]:
    """The fields of a form, texts translated.

    Args:
        fields: as declared.
        prefill: values to begin with instead of the defaults; keys that it lacks begin empty.
    """
    return [_form_field(field, prefill) for field in offered(fields)]


def together(rule: str) -> Callable[[Mapping[str, Any]], Mapping[str, str]] | None:
    """What a rule between fields says of their values, key -> text; None for no rule."""
    if not rule:
        return None
    check = FORM_RULES[rule]
    return lambda typed: {key: error.text() for key, error in check(typed).items()}


def _unit(field: Field) -> str:
    """The unit of a field, with the range of what it may be where both ends are known."""
    if not field.unit or field.minimum is None or field.maximum is None:
        return _(field.unit) if field.unit else ""
    return f"{field.minimum}-{field.maximum} {_(field.unit)}"


def _form_field(field: Field, prefill: Mapping[str, Any] | None) -> FormField:
    value = field.initial if prefill is None else prefill.get(field.key)
    if field.kind is Kind.BOOLEAN:
        value = bool(value)
    if field.kind is Kind.SECRET:
        value = None
    hint = _(field.hint)
    if field.kind is Kind.REFERENCES:
        hint = sentences(hint, _(N_("a picks from a list, d takes out.")))
    elif field.resource:
        hint = sentences(hint, _(N_("F4 or the down arrow picks from a list.")))
    if field.kind is Kind.TIME:
        hint = sentences(hint, _(N_("2026-01-31 18:30, 18:30, yesterday, -7d (m, h, d, w); local time.")))
    if field.kind is Kind.LIST:
        hint = sentences(hint, _(N_("Several with commas between.")))
    if field.kind is Kind.LIST and field.choices:
        hint = sentences(hint, ", ".join(f"{value} ({_(label)})" for value, label in field.choices))
    return FormField(
        key=field.key,
        label=_(field.label),
        kind=INPUTS.get(field.kind, InputKind.LINE),
        required=field.required,
        value=value,
        hint=hint,
        unit=_unit(field),
        panel=_(field.panel),
        read=_reader(field),
        write=_WRITERS.get(field.kind, _plain),
        caution=_caution(field, prefill or {}),
        choices=_choices(field),
        fits=field.fits,
        when=field.when,
        again=_(N_("once more")) if field.twice else "",
        differ=_(N_("The two are not the same.")),
        summary=_member if field.kind is Kind.REFERENCES else _summary(field),
        add_row=_(N_("add (a)")),
        lines=10 if field.kind is Kind.XML else 3,
    )


def _choices(field: Field) -> tuple[tuple[Any, str], ...]:
    if field.kind is Kind.BOOLEAN:
        return ((True, _(N_("yes"))), (False, _(N_("no"))))
    chosen = tuple((value, _(label)) for value, label in field.choices)
    if field.kind is Kind.CHOICE and not field.required and field.default is None:
        # Something that may be left alone needs a way to say so.
        return ((None, values.NOTHING), *chosen)
    return chosen


def _reader(field: Field) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return values.read(field, text)
        except InvalidInput as error:
            raise BadValue(error.text()) from error

    return read


def _caution(field: Field, row: Row) -> Callable[[Any], str] | None:
    against = field.against
    if against is None:
        return None

    def look(value: Any) -> str:
        found = against(value, row)
        if found is None:
            return ""
        text = _(found.message).format(**found.parameters)
        if found.wrong:
            raise BadValue(text)
        return text

    return look


def _plain(value: Any) -> str:
    return "" if value is None else str(value)


def exact_size(value: Any) -> str:
    """Bytes in the largest unit that says them exactly, so that what is shown is what is sent back."""
    if not isinstance(value, int):
        return _plain(value)
    for unit in _EXACT_UNITS:
        amount, rest = divmod(value, UNITS[unit.upper()])
        if amount and not rest:
            return f"{amount} {unit}"
    return f"{value} B"


def _list(value: Any) -> str:
    return ", ".join(str(item) for item in value) if isinstance(value, list | tuple) else _plain(value)


def _member(value: Any) -> str:
    return one_line(str(value))


_WRITERS: Mapping[Kind, Callable[[Any], str]] = {
    Kind.SIZE: exact_size,
    Kind.TIME: values.typed_time,
    Kind.LIST: _list,
}


def _summary(field: Field) -> Callable[[Mapping[str, Any]], str]:
    """A row of a table inside a form in one line: what differs from the defaults, in the order of its fields."""

    def summary(row: Mapping[str, Any]) -> str:
        parts = []
        for inner in field.fields:
            value = row.get(inner.key)
            if value in (None, "", [], False) or (value == inner.default and inner.kind is not Kind.CHOICE):
                continue
            if inner.kind in (Kind.BOOLEAN, Kind.SECRET):
                # Of a secret, that there is one.
                parts.append(_(inner.label))
            else:
                words = dict(inner.choices)
                parts.append(values.show(value, inner.kind, words))
        return "  ".join(parts)

    return summary


def said(field: Field, value: Any) -> str:
    """A field's value in words, on one line; of a secret, that there is one."""
    if field.kind is Kind.SECRET:
        return HIDDEN if value else values.NOTHING
    if field.kind is Kind.ROWS and isinstance(value, list):
        summary = _summary(field)
        return "; ".join(summary(row) for row in value) or values.NOTHING
    if field.kind is Kind.SIZE:
        return exact_size(value) or values.NOTHING
    words = dict(field.choices)
    return values.show(value, field.kind, {str(key): label for key, label in words.items()})


def sent(fields: Sequence[Field], typed: Mapping[str, Any], changed: set[str], *, only_changed: bool) -> dict[str, Any]:
    """The arguments of the operation.

    Args:
        fields: as declared.
        typed: the form's values; fields that do not apply are not in it.
        changed: keys that are not as they began.
        only_changed: for edits: what was left alone is not sent, what was emptied is sent as empty.
    """
    arguments: dict[str, Any] = {}
    for field in offered(fields):
        if field.key not in typed:
            continue
        value = typed[field.key]
        if only_changed:
            if field.key in changed:
                arguments[field.key] = _emptied(field) if value is None else value
        elif value is not None and value != []:
            arguments[field.key] = value
    return arguments


def _emptied(field: Field) -> Any:
    """How an operation is told that a value is to be none."""
    if field.kind in (Kind.REFERENCES, Kind.LIST, Kind.ROWS):
        return []
    return None if field.kind in (Kind.INTEGER, Kind.SIZE, Kind.CHOICE) else ""
