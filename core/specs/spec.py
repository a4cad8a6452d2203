"""What specs have in common: they are checked when they are made from what somebody wrote, and never change."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Self, get_args, get_origin, get_type_hints

import msgspec

from core.errors import InvalidInput
from core.i18n import N_
from core.rules.sizes import format_size

#: How msgspec says where something is wrong, at the end of its message: ``$.disks[0].bus``.
_WHERE = re.compile(r" - at `\$\.?([^`]*)`$")
_NAME = re.compile("field `(.*?)`")
_LIMIT = re.compile(r"(>=|<=) (-?\d+)")


class Spec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a configuration."""

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names of all fields."""
        return cls.__struct_fields__

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Make it of JSON values.

        Raises:
            InvalidInput: a value has the wrong type or breaks a limit; the field is a path such as ``disks.1.bus``.
        """
        try:
            return msgspec.convert(values, cls)
        except msgspec.ValidationError as error:
            raise _explained(cls, str(error)) from error

    @classmethod
    def read(cls, text: str) -> Self:
        """Make it of JSON that was checked when it was written."""
        return msgspec.json.decode(text, type=cls)

    def plain(self) -> dict[str, Any]:
        """It as JSON values, of which :meth:`of` makes an equal one."""
        # msgspec leaves tuples as they are
        values: dict[str, Any] = json.loads(json.dumps(msgspec.to_builtins(self)))
        return values

    def but(self, **changes: Any) -> Self:
        """The same with other values, which are not checked."""
        return msgspec.structs.replace(self, **changes)


def _explained(spec: type[Spec], message: str) -> InvalidInput:
    """What msgspec found wrong, in words for its reader; it stops at the first."""
    found = _WHERE.search(message)
    path = [part for part in re.split(r"[.\[\]]+", found[1] if found else "") if part]
    what = message[: found.start()] if found else message
    name = _NAME.search(what)
    if name is not None:
        field = ".".join([*path, name[1]])
        if what.startswith("Object missing"):
            return InvalidInput(N_("{field} is missing."), field=field)
        return InvalidInput(N_("{field} is not a field of an instance."), field=field)
    field = ".".join(path)
    if what.startswith("Invalid enum value"):
        # That nothing may be given needs not be said.
        choices = ", ".join(choice for choice in _choices(spec, path) if choice)
        return InvalidInput(N_("It is one of {choices}."), field=field, choices=choices)
    limit = _LIMIT.search(what)
    if limit is not None:
        # The memory is the only size here.
        written = format_size(int(limit[2])) if field == "memory" else int(limit[2])
        if limit[1] == ">=":
            return InvalidInput(N_("The least is {limit}."), field=field, limit=written)
        return InvalidInput(N_("The most is {limit}."), field=field, limit=written)
    return InvalidInput(N_("{field} has the wrong type."), field=field)


def _choices(spec: type[Spec], path: list[str]) -> tuple[str, ...]:
    """What may stand at a place, of which there are choices."""
    found: Any = spec
    for part in path:
        found = get_args(found)[0] if part.isdigit() else get_type_hints(found)[part]
        if get_origin(found) is Annotated:  # without extras they are left out of hints, but for those of elements
            found = get_args(found)[0]
    return get_args(found)
