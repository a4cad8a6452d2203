"""Values of each kind as people read and type them; shared by lists, forms and the command line. No Textual."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from core.clock import local_time, local_written
from core.errors import InvalidInput, from_wire, sentence
from core.i18n import N_, _
from core.rules.sizes import format_size, parse_size
from core.rules.times import read_time
from screens.spec import STATE_WORDS, Action, Field, Kind

#: What stands where there is no value.
NOTHING = "-"
#: Kinds whose values stand at the right of their column.
RIGHT = frozenset({Kind.INTEGER, Kind.SIZE, Kind.RATE, Kind.PERCENT, Kind.DURATION, Kind.RUN_TIME})

_TRUE = frozenset({"yes", "true", "on", "1"})
_FALSE = frozenset({"no", "false", "off", "0"})
#: More digits, the sign among them, are no number that a database keeps; the ends of those that it does.
_DIGITS, _LEAST, _MOST = 19, -(2**63), 2**63 - 1
_NO_WORDS: Mapping[str, str] = {}


def show(value: Any, kind: Kind, words: Mapping[str, str] = _NO_WORDS) -> str:
    """A value in the language now set; one line unless the kind has several.

    Args:
        value: JSON data as an operation returned it.
        kind: what it is.
        words: for CHOICE and LIST: value -> msgid.
    """
    if value in (None, "", []):
        return NOTHING
    if isinstance(value, Mapping) and "message" in value:
        return from_wire(dict(value)).text()
    shower = _SHOWERS.get(kind)
    if shower is not None:
        return shower(value)
    if isinstance(value, list | tuple):
        return ("\n" if kind is Kind.MULTILINE else ", ").join(_word(item, words) for item in value)
    return _word(value, words)


def _word(value: Any, words: Mapping[str, str]) -> str:
    if isinstance(value, Mapping) and "message" in value:
        return from_wire(dict(value)).text()
    text = str(value)
    return _(words[text]) if text in words else text


def _duration(seconds: Any) -> str:
    total = int(seconds)
    days, rest = divmod(total, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, left = divmod(rest, 60)
    if days:
        return f"{days}d {hours}h"
    if hours:
        return f"{hours}h {minutes}m"
    return f"{minutes}m {left}s" if minutes else f"{left}s"


def _run_time(seconds: Any) -> str:
    days, rest = divmod(int(seconds), 86400)
    clock = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return _(N_("{days} d {clock}")).format(days=days, clock=clock)


def _time(text: Any) -> str:
    return local_time(str(text)).strftime("%Y-%m-%d %H:%M:%S")


#: Cells that a time takes with its seconds.
TIME_WIDTH = 19


def brief_time(text: Any) -> str:
    """A time without its seconds, for lists whose column has no room for them."""
    return _time(text)[:-3]


def typed_time(value: Any) -> str:
    """A time (UTC, ISO 8601) as one would type it: local, with its seconds when it has some."""
    if not value:
        return ""
    moment = local_time(str(value))
    return moment.strftime("%Y-%m-%d %H:%M:%S" if moment.second or moment.microsecond else "%Y-%m-%d %H:%M")


def _contents(value: Any) -> str:
    from screens.telling import told  # declarations are read for it, which most values do without

    return told(value) or NOTHING


def line_text(line: Any) -> str:
    """A line of what would happen: a sentence, or what becomes what, as :attr:`Action.plan` says."""
    return _contents(line) if isinstance(line, Mapping) and "changes" in line else sentence(line)


#: What a refresh puts behind the name of what it finds (manual 9.4.7): the pool's UUID, half a line of one's screen.
_POOL = re.compile(r"(?<=.)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


def _title(value: Any) -> str:
    return _POOL.sub("", str(value))


def _state(value: Any) -> str:
    return _(STATE_WORDS.get(str(value), str(value)))


_SHOWERS: Mapping[Kind, Callable[[Any], str]] = {
    Kind.SIZE: format_size,
    Kind.RATE: lambda value: f"{format_size(round(value))}/s",
    Kind.PERCENT: lambda value: f"{value:.0f}%",
    Kind.BOOLEAN: lambda value: _(N_("yes")) if value else _(N_("no")),
    Kind.TIME: _time,
    Kind.DURATION: _duration,
    Kind.RUN_TIME: _run_time,
    Kind.STATE: _state,
    Kind.CONTENTS: _contents,
    Kind.TITLE: _title,
    Kind.TARGET: lambda value: local_written(str(value)),
    Kind.MEMBERS: lambda rows: ", ".join(f"{row['name']} ({_state(row['state'])})" for row in rows),
}


def filled(template: str, row: Mapping[str, Any]) -> str:
    """A sentence with the row's values in it; a key the row lacks stays as it is written."""

    class Kept(dict[str, Any]):
        def __missing__(self, key: str) -> str:
            return "{" + key + "}"

    try:
        return template.format_map(Kept(row))
    except (ValueError, IndexError, AttributeError):
        return template


def previewed(action: Action, arguments: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """What an action's warning is filled with: what its preview answered, and what was typed, as people read it."""
    kinds = {field.key: (field.kind, dict(field.choices)) for field in action.fields}
    return {**answer, **{key: show(value, *kinds[key]) for key, value in arguments.items() if key in kinds}}


def read(field: Field, text: str) -> Any:
    """The value that somebody typed into a field, as the operation takes it.

    TIME is typed local, in many ways (:mod:`core.rules.times`), and becomes ISO 8601, UTC. REFERENCE stays the text of
    the reference; REFERENCES and LIST are parted at commas.

    Raises:
        InvalidInput: it is not such a value, or breaks the field's rule; names the field.
    """
    try:
        value = parse(field, text)
        check(field, value)
    except InvalidInput as error:
        error.field = error.field or field.key
        raise
    return value


def check(field: Field, value: Any) -> None:
    """Apply a field's own rules: its bounds, its choices, its rule in :mod:`core.rules`.

    Raises:
        InvalidInput: one does not hold; names the field.
    """
    check_range(field, value)
    if field.rule and value is not None:
        from core.rules import check as check_rule

        check_rule(field.rule, field.key, value)


def check_range(field: Field, value: Any) -> None:
    """Whether a value is within a field's bounds and among its choices; not its rule, which the service has too.

    Raises:
        InvalidInput: it is not; names the field.
    """
    if field.kind in (Kind.INTEGER, Kind.SIZE) and isinstance(value, int):
        _check_bounds(field, value)
    if not field.choices:
        return
    allowed = [choice for choice, _label in field.choices]
    for item in value if isinstance(value, list) else [value]:
        if item not in allowed:
            raise InvalidInput(
                N_("{value} is not one of: {choices}."),
                field=field.key,
                value=str(item),
                choices=", ".join(choice for choice in allowed if choice),
            )


def _check_bounds(field: Field, value: int) -> None:
    written = format_size if field.kind is Kind.SIZE else str
    if field.minimum is not None and value < field.minimum:
        raise InvalidInput(N_("At least {limit}."), field=field.key, limit=written(field.minimum))
    if field.maximum is not None and value > field.maximum:
        raise InvalidInput(N_("At most {limit}."), field=field.key, limit=written(field.maximum))


def parse(field: Field, text: str) -> Any:
    """The value that a text stands for, its form checked but not its rule.

    Raises:
        InvalidInput: it is not such a value.
    """
    if field.kind is Kind.INTEGER:
        return _integer(field, text)
    if field.kind is Kind.SIZE:
        return parse_size(text)
    if field.kind is Kind.TIME:
        return read_time(text).isoformat()
    if field.kind is Kind.BOOLEAN:
        return _boolean(field, text)
    if field.kind in (Kind.REFERENCES, Kind.LIST):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _integer(field: Field, text: str) -> int:
    # isdigit() alone would take other scripts' digits and superscripts that int() refuses.
    digits = text.strip()
    if not (digits.removeprefix("-").isascii() and digits.removeprefix("-").isdigit()):
        raise InvalidInput(N_("A whole number is needed."), field=field.key)
    if len(digits) > _DIGITS:
        low = _LEAST if field.minimum is None else field.minimum
        high = _MOST if field.maximum is None else field.maximum
        raise InvalidInput(N_("A whole number from {low} to {high} is needed."), field=field.key, low=low, high=high)
    return int(digits)


def _boolean(field: Field, text: str) -> bool:
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise InvalidInput(N_("yes or no is needed."), field=field.key)
