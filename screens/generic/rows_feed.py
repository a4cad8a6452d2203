"""Fetches the rows that a list's table wants, and keeps fresh what is on screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.errors import AuthenticationFailed, DosvmError, PasswordChangeRequired
from screens.base import BaseScreen
from screens.context import is_away
from screens.generic.cells import row_key_of
from screens.spec import ResourceSpec, Row
from widgets.pages import Want
from widgets.virtual_table import VirtualTable

#: Seconds between two looks that news asked for: a storm of news must not be a storm of questions.
CALM = 0.25
#: The longest pause, in seconds, between tries when the cloud refuses to answer this list.
LONGEST = 60.0


class RowsFeed:
    """At most one question for rows is under way; a list that is refused is asked for less and less often."""

    def __init__(
        self,
        screen: BaseScreen,
        spec: ResourceSpec,
        table: VirtualTable,
        query: Callable[[], Mapping[str, Any]],
        nothing: Callable[[], str],
        arrived: Callable[[], None],
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            screen: in whose name and time it is asked.
            spec: the resource.
            table: what wants rows.
            query: gives which rows, in which order.
            nothing: gives what stands there when there are none.
            arrived: called when the table was given rows.
        """
        self._screen = screen
        self._context = screen.context
        self._spec = spec
        self._table = table
        self._query = query
        self._nothing = nothing
        self._arrived = arrived
        self._in_flight = False
        self._news = False
        self._looked_at = -1e9
        self._refused = 0
        self._error: DosvmError | None = None
        self._expected: tuple[str, str | None] | None = None

    def look_again(self) -> None:
        """News: what is on screen is fetched anew, soon."""
        self._news = True
        if self._screen.is_mounted and self._screen.is_attached_to_app:
            pause = CALM - (self._context.clock.monotonic() - self._looked_at)
            if pause > 0:
                self._screen.set_timer(pause, self.pump)
            else:
                self.pump()

    def tick(self) -> None:
        """The resource's interval has passed."""
        if self._screen.app.screen is not self._screen or self._context.link.lost:
            return
        if self._refused:
            pause = min(LONGEST, self._spec.interval * 2**self._refused)
            if self._context.clock.monotonic() - self._looked_at < pause:
                return
        self._news = True
        self.pump()

    def pump(self) -> None:
        """Ask for the most urgent rows, when none are under way."""
        if self._in_flight or not self._screen.is_attached_to_app:
            return
        want = self._table.wanted()
        if want is None and self._news:
            want = self._table.seen()
        if want is None:
            return
        self._news = False
        self._in_flight = True
        self._looked_at = self._context.clock.monotonic()
        arguments = {**self._query(), "offset": want.offset, "limit": want.limit}
        self._screen.ask(
            lambda: self._context.backend.call(self._spec.rows_by, **arguments),
            lambda answer: self._came(want, answer),
            self._failed,
        )

    def _came(self, want: Want, answer: Mapping[str, Any]) -> None:
        self._in_flight = False
        self._refused, self._error = 0, None
        self._say_nothing()
        if self._expected is not None and self._expected[1] != self._cursor_key:
            self._expected = None
        self._table.deliver(want, answer["rows"], answer["total"], more=answer.get("more", False))
        self._find_expected(answer["rows"])
        self._arrived()
        if self._news:
            self.look_again()
        elif self._table.wanted() is not None:
            self.pump()

    def _failed(self, error: DosvmError) -> None:
        """What is on screen stays."""
        self._in_flight = False
        self._refused += 1
        if is_away(error) or isinstance(error, AuthenticationFailed | PasswordChangeRequired):
            self._context.desk.explain(error)
            return
        if not self._table.total:
            self._error = error
            self._say_nothing()
        elif self._refused == 1:
            self._context.desk.explain(error)

    def _say_nothing(self) -> None:
        self._table.set_placeholder(self._nothing() if self._error is None else self._error.text())

    def retranslate(self) -> None:
        """Say in the language now set why there are no rows, if that is known."""
        if self._error is not None or self._table.loaded:
            self._say_nothing()

    # -- a row that is new

    def expect(self, uuid: str) -> None:
        """The cursor goes to a new row as soon as it is there, unless somebody moves it before."""
        self._expected = (uuid, self._cursor_key)

    @property
    def _cursor_key(self) -> str | None:
        row = self._table.cursor_row
        return None if row is None else row_key_of(self._spec, row)

    def _find_expected(self, rows: Sequence[Row]) -> None:
        if self._expected is None:
            return
        for row in rows:
            if row.get("uuid") == self._expected[0]:
                self._expected = None
                self._table.go_to(row_key_of(self._spec, row))
                return
