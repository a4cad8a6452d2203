"""Says at which argument a rule was broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from core.errors import InvalidInput
from core.i18n import N_
from core.rules.sizes import format_size

V = TypeVar("V")

#: Largest number a column of counts holds.
COUNT_MAX = 2**31 - 1
#: Largest size in bytes that is taken for meant.
SIZE_MAX = 2**60


@contextmanager
def at_field(field: str) -> Iterator[None]:
    """Name the argument in the errors of rules that know none."""
    try:
        yield
    except InvalidInput as error:
        error.field = error.field or field
        raise


def ruled(field: str, rule: Callable[[V], None], value: V | None) -> None:
    """Check an argument by a rule of :mod:`core.rules`; None was not given and breaks none.

    Raises:
        InvalidInput: it breaks the rule.
    """
    if value is not None:
        with at_field(field):
            rule(value)


def sized(field: str, value: int | None, low: int) -> None:
    """Check that a size in bytes, when given, is at least ``low`` and at most :data:`SIZE_MAX`.

    Raises:
        InvalidInput: it is not; says the limit as people write it.
    """
    if value is not None and value < low:
        raise InvalidInput(N_("The least is {limit}."), field=field, limit=format_size(low))
    if value is not None and value > SIZE_MAX:
        raise InvalidInput(N_("The most is {limit}."), field=field, limit=format_size(SIZE_MAX))


def in_range(field: str, value: int | None, low: int, high: int) -> None:
    """Check that a number, when given, is within bounds, both included.

    Raises:
        InvalidInput: it is not.
    """
    if value is not None and not low <= value <= high:
        raise InvalidInput(N_("A whole number from {low} to {high} is needed."), field=field, low=low, high=high)
