"""What a form is made of: fields as data, with their texts translated. No terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class BadValue(Exception):
    """What somebody typed is not right; the text says why, in the reader's language."""


class InputKind(Enum):
    """Which input a field gets."""

    LINE = "line"
    LINES = "lines"
    SECRET = "secret"  # noqa: S105
    TOGGLE = "toggle"
    CHOICE = "choice"
    PICK = "pick"
    PICKS = "picks"
    ROWS = "rows"


def _same(text: str) -> Any:
    return text


def _written(value: Any) -> str:
    return "" if value is None else str(value)


@dataclass(frozen=True)
class FormField:
    """One field.

    Attributes:
        key: names its value.
        label, hint, unit, panel: texts.
        kind: which input.
        required: whether it may be left empty.
        value: what it starts with; what :attr:`write` takes.
        read: the value of a text.

    Raises:
                BadValue: the text is not right.
        write: the text of a value.
        caution: what is to be thought of with this value, though it is right; empty for nothing.

    Raises:
                BadValue: it is not right after all.
        choices: (value, text) pairs of CHOICE.
        fits: which of them are shown beside the values of the other fields; all when there is nothing to ask.
        when: shown only while this holds for all values.
        again: for SECRET typed twice: the label of the second input; empty for once.
        differ: for SECRET typed twice: what is said when the two differ.
        summary: for ROWS: the line that stands for one row.
        add_row: for ROWS: the text of the line that adds one.
        lines: for LINES: how many are shown at once.
    """

    key: str
    label: str
    kind: InputKind = InputKind.LINE
    required: bool = False
    value: Any = None
    hint: str = ""
    unit: str = ""
    panel: str = ""
    read: Callable[[str], Any] = _same
    write: Callable[[Any], str] = _written
    caution: Callable[[Any], str] | None = None
    choices: tuple[tuple[Any, str], ...] = ()
    fits: Callable[[Any, Mapping[str, Any]], bool] | None = None
    when: Callable[[Mapping[str, Any]], bool] | None = None
    again: str = ""
    differ: str = ""
    summary: Callable[[Mapping[str, Any]], str] = str
    add_row: str = ""
    lines: int = 3


@dataclass(frozen=True)
class FormTexts:
    """What a form says of itself."""

    needed: str
    yes: str
    no: str
