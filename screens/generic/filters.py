"""The filters of a list, chosen in a form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.i18n import N_, _
from screens.context import Context
from screens.generic.form_dialog import FormDialog
from screens.generic.known import check_filters
from screens.spec import Field, Filter, Kind, ResourceSpec

_YES_NO = (("yes", N_("yes")), ("no", N_("no")))


def filter_dialog(
    context: Context, spec: ResourceSpec, present: Mapping[str, Any], fixed: Mapping[str, Any]
) -> FormDialog | None:
    """A form of the filters that the declaration offers; None when there is none to choose.

    Args:
        context: the context.
        spec: the resource.
        present: the filters now set.
        fixed: filters that cannot be changed here.
    """
    offered = [f for f in spec.filters if context.role in f.roles and f.key not in fixed]
    if not offered:
        return None
    return FormDialog(
        context,
        lambda: _(N_("Filters")),
        [_field(f) for f in offered],
        lambda typed, _changed: _known(context, spec, typed),
        prefill={f.key: _word(present.get(f.key)) for f in offered},
        button=lambda: _(N_("Show")),
    )


def chosen(spec: ResourceSpec, typed: Mapping[str, Any]) -> dict[str, Any]:
    """The filters that were typed, as the list operation takes them."""
    kinds = {f.key: f.kind for f in spec.filters}
    return {
        key: value == "yes" if kinds[key] is Kind.BOOLEAN else value
        for key, value in typed.items()
        if value is not None and value != ""
    }


def _known(context: Context, spec: ResourceSpec, typed: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was typed, when it speaks of what there is; runs in a thread."""
    check_filters(context.backend, spec, typed)
    return typed


def _field(filter_: Filter) -> Field:
    # Yes and no as words: a third choice, neither, must be left.
    boolean = filter_.kind is Kind.BOOLEAN
    return Field(
        filter_.key,
        filter_.label,
        Kind.CHOICE if boolean else filter_.kind,
        hint=filter_.hint,
        choices=_YES_NO if boolean else filter_.choices,
        resource=filter_.resource,
    )


def _word(value: Any) -> Any:
    return ("yes" if value else "no") if isinstance(value, bool) else value
