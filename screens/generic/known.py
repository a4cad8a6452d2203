"""Whether filters speak of what there is: a list that is empty by a slip of the pen says nothing of it. No Textual."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import NotFound
from core.rpc.backend import Backend
from core.rules.times import check_span
from screens import registry
from screens.spec import Kind, ResourceSpec


def check_filters(backend: Backend, spec: ResourceSpec, filters: Mapping[str, Any]) -> None:
    """Look whether what filters name is there, and whether a span of time begins before it ends; asks the cloud.

    Raises:
        InvalidInput: the span is empty; names the filter.
        NotFound: there is no such host, project ...; names the filter.
    """
    check_span(filters)
    for known in spec.filters:
        value = filters.get(known.key)
        if known.kind is not Kind.REFERENCE or not known.resource or not value:
            continue
        other = registry.resource(known.resource)
        try:
            backend.call(other.shows_by, **{other.argument: str(value)})
        except NotFound as error:
            # Several of one name are fine: rows of all of them fit. Of none it is said which kind there is none of.
            if "kind" in error.parameters:
                error.field = known.key
                raise
