"""Pure checks, shared by forms (as one types) and services (for certain).

A rule takes a value and raises :class:`core.errors.InvalidInput` when it does not hold. Forms name
rules by their key in :data:`RULES`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.errors import InvalidInput
from core.rules.names import (
    account,
    directory,
    display_name,
    email,
    file_name,
    identifier,
    line,
    name,
    password,
    phone,
    prose,
)
from core.rules.secrets import secret_value, usage
from core.rules.sizes import size

Rule = Callable[[Any], None]

RULES: dict[str, Rule] = {
    "account": account,
    "directory": directory,
    "display_name": display_name,
    "email": email,
    "file_name": file_name,
    "identifier": identifier,
    "line": line,
    "name": name,
    "password": password,
    "phone": phone,
    "prose": prose,
    "secret_value": secret_value,
    "size": size,
    "usage": usage,
}


def check(rule: str, field: str, value: Any) -> None:
    """Apply a rule to the value of a field.

    Raises:
        InvalidInput: it does not hold; names the field.
    """
    try:
        RULES[rule](value)
    except InvalidInput as error:
        error.field = field
        raise


__all__ = ["RULES", "Rule", "check"]
