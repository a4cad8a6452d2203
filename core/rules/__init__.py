"""Pure checks, shared by forms (as one types) and services (for certain).

A rule takes a value and raises :class:`core.errors.InvalidInput` when it does not hold. Forms name
rules by their key in :data:`RULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.errors import InvalidInput
from core.rules.disks import disk
from core.rules.names import (
    account,
    directory,
    directory_or_none,
    display_name,
    email,
    file_name,
    identifier,
    line,
    name,
    password,
    phone,
    pool_name,
    prose,
    tls_file,
)
from core.rules.parameters import problems
from core.rules.pools import server
from core.rules.secrets import secret_value, usage
from core.rules.sizes import size
from core.rules.volumes import volume_size

Rule = Callable[[Any], None]
#: Looks at all values of a form together: key -> what is wrong with it.
FormRule = Callable[[Mapping[str, Any]], Mapping[str, InvalidInput]]

RULES: dict[str, Rule] = {
    "account": account,
    "directory": directory,
    "directory_or_none": directory_or_none,
    "display_name": display_name,
    "email": email,
    "file_name": file_name,
    "identifier": identifier,
    "line": line,
    "name": name,
    "password": password,
    "phone": phone,
    "pool_name": pool_name,
    "prose": prose,
    "secret_value": secret_value,
    "server": server,
    "size": size,
    "tls_file": tls_file,
    "usage": usage,
    "volume_size": volume_size,
}

#: Rules between the fields of a form, by the name that an action, or a field for its rows, gives.
FORM_RULES: dict[str, FormRule] = {"disk": disk, "parameters": problems}


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


__all__ = ["FORM_RULES", "RULES", "FormRule", "Rule", "check"]
