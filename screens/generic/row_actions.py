"""What one can do with the rows of a list: which rows an action is for, whether it makes sense, how it begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from core.i18n import _
from screens.base import BaseScreen
from screens.generic.cells import row_key_of
from screens.generic.offers import actions_of, takes_row, why_not
from screens.spec import Action, ResourceSpec, Row, Target
from widgets.bar import KeyHint
from widgets.virtual_table import VirtualTable


class RowActions:
    """The actions of a list that have a key, on the rows that are marked or the one under the cursor."""

    def __init__(
        self,
        screen: BaseScreen,
        spec: ResourceSpec,
        table: VirtualTable,
        given: Mapping[str, str],
        made: Callable[[str], None],
        acted: Callable[[], None],
    ) -> None:
        """Prepare.

        Args:
            screen: in whose name and time it is asked.
            spec: the resource.
            table: the rows.
            given: what references the forms begin with, by key.
            made: told the UUID of an object that is new.
            acted: called when something was changed.
        """
        self._screen = screen
        self._spec = spec
        self._table = table
        self._given = given
        self._made = made
        self._acted = acted

    @property
    def _declared(self) -> list[Action]:
        return [action for action in actions_of(self._spec, self._screen.context.role) if action.key]

    def hints(self) -> Iterator[KeyHint]:
        """The actions: one that makes no sense for the row under the cursor, or any that is marked, is grey."""
        for action in self._declared:
            rows = self.meant(action)
            why = why_not(action, rows)
            enabled = not why and (bool(rows) or not takes_row(action))
            yield KeyHint(action.key, _(action.label), enabled, why=_(why) if why else "", short=_(action.short))

    def meant(self, action: Action) -> list[Row]:
        """The rows that an action is for now: those marked, if it is for many, or the one under the cursor."""
        if not takes_row(action):
            return []
        if action.target is Target.ROWS and self._table.marked:
            return self._table.marked
        row = self._table.cursor_row
        return [row] if row is not None else []

    def press(self, key: str) -> bool:
        """Begin the action that has this key; False when none has."""
        action = next((action for action in self._declared if action.key == key), None)
        if action is not None:
            self.start(action)
        return action is not None

    def start(self, action: Action, rows: list[Row] | None = None) -> None:
        """Begin an action: on these rows, or on the marked ones, or on the one under the cursor."""
        rows = rows or []
        if not rows and takes_row(action):
            rows = self.meant(action)
            if not rows:
                return
        from screens.generic.actions import ActionRun

        mine = {row_key_of(self._spec, row) for row in rows}
        others = sum(row_key_of(self._spec, row) not in mine for row in self._table.marked)
        ActionRun(
            self._screen.context,
            self._spec,
            action,
            rows,
            self._screen.ask,
            self._acted,
            given=self._given,
            made=self._made,
            marked=others,
        ).start()
