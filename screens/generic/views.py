"""A row seen otherwise: all that is known of it, as YAML."""

from __future__ import annotations

from typing import Any

from core.i18n import _
from screens.context import Context
from screens.generic.cells import identity_of, label_of
from screens.generic.viewer import Viewer, lines
from screens.spec import ResourceSpec, Row


def shown_again(context: Context, spec: ResourceSpec, row: Row) -> Any:
    """All that is known of a row, asked for now; runs in a thread."""
    if not spec.shows_by:
        return dict(row)
    arguments = {} if spec.single else {spec.argument: identity_of(spec, row)}
    return context.backend.call(spec.shows_by, **arguments)


def show_yaml(context: Context, spec: ResourceSpec, row: Row, ask: Any) -> None:
    """Open a row as YAML, in the form that ``dosvm AREA show -o yaml`` prints."""

    def work() -> str:
        import yaml

        return yaml.safe_dump(shown_again(context, spec, row), allow_unicode=True, sort_keys=False, width=1000)

    def came(text: str) -> None:
        context.desk.show(
            Viewer(context, lambda: f"{_(spec.singular)} {label_of(spec, row)}: YAML", lambda: lines(text))
        )

    ask(work, came, key="form", front=True)
