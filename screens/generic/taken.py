"""Whether a name is taken, while it is being typed. The service has the last word; this only spares a round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.i18n import N_, _
from screens.context import Context
from screens.generic.cells import reference_of
from screens.spec import Field, Kind, ResourceSpec, Row

#: Rows looked at: names that contain what is typed.
_LOOKED_AT = 200


@dataclass(frozen=True)
class NameCheck:
    """Asks the resource's own list for the name.

    Attributes:
        key: the field that is the name.
        within: required references of the form by which the list can be filtered: the name must be unused there only.
        own: the reference of the row that is edited; None for a new one.
    """

    context: Context
    spec: ResourceSpec
    key: str
    within: tuple[str, ...]
    own: Any

    @property
    def watched(self) -> frozenset[str]:
        """The fields after whose change it is asked again."""
        return frozenset({self.key, *self.within})

    def ask(self, typed: Mapping[str, Any]) -> str:
        """What is to be said of the name, or nothing; runs in a thread."""
        name = typed.get(self.key)
        filters = {key: typed.get(key) for key in self.within}
        if not isinstance(name, str) or not name or not all(filters.values()):
            return ""
        answer = self.context.backend.call(self.spec.lists_by, search=name, filters=filters, offset=0, limit=_LOOKED_AT)
        same = [row for row in answer["rows"] if row.get(self.spec.label) == name]
        if any(self.own is None or reference_of(self.spec, row) != self.own for row in same):
            return _(N_("The name {name} is taken.")).format(name=name)
        return ""


def name_check(context: Context, spec: ResourceSpec, fields: Sequence[Field], row: Row | None) -> NameCheck | None:
    """The check that fits a form, when it has a field for the resource's name and the resource a list."""
    key = next((field.key for field in fields if field.key in (spec.label, "account")), "")
    if not key or not spec.lists_by or spec.single:
        return None
    known = {known.key for known in spec.filters if known.kind is Kind.REFERENCE and context.role in known.roles}
    within = tuple(f.key for f in fields if f.required and f.kind is Kind.REFERENCE and f.key in known)
    return NameCheck(context, spec, key, within, reference_of(spec, row) if row is not None else None)
