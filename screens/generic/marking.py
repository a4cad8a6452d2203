"""Marks on all rows that a search and its filters find, however many pages they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.i18n import N_, _
from screens.context import Context
from screens.spec import ResourceSpec, Row

#: Rows that are marked at once at most: an action asks for each of them by itself.
MOST = 10_000
#: Rows asked for at once.
PAGE = 1000


class MarkAll:
    """Fetches every row of a list; what was asked for meanwhile in another way ends it."""

    def __init__(
        self,
        context: Context,
        spec: ResourceSpec,
        ask: Any,
        query: Callable[[], Mapping[str, Any]],
        then: Callable[[list[Row]], None],
    ) -> None:
        """Prepare.

        Args:
            context: the context.
            spec: the resource.
            ask: the screen's :meth:`screens.base.Asking.ask`.
            query: gives which rows are wanted, as it is at that moment.
            then: takes all rows.
        """
        self._context = context
        self._spec = spec
        self._ask = ask
        self._query = query
        self._begun = dict(query())
        self._then = then
        self._rows: list[Row] = []

    def next_page(self) -> None:
        """Fetch the next page, and go on until there is none."""
        offset = len(self._rows)
        self._ask(
            lambda: self._context.backend.call(self._spec.rows_by, **self._begun, offset=offset, limit=PAGE),
            self._came,
            key="mark",
        )

    def _came(self, answer: Mapping[str, Any]) -> None:
        if dict(self._query()) != self._begun:
            return
        self._rows += answer["rows"]
        if len(answer["rows"]) < PAGE:
            self._then(self._rows)
        elif len(self._rows) >= MOST:
            text = _(N_("The first {count} are marked; no more are marked at once."))
            self._context.desk.notice(text.format(count=MOST), "warning")
            self._then(self._rows[:MOST])
        else:
            self.next_page()
