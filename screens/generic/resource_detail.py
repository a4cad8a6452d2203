"""The details of one row: all that is known, live, with its actions and related lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textual.app import ComposeResult

from core.errors import DosvmError, NotFound
from core.i18n import N_, _
from screens.base import BaseScreen
from screens.context import Context
from screens.generic.actions import ActionRun
from screens.generic.cells import facts, label_of
from screens.generic.offers import actions_of, why_not
from screens.generic.views import show_yaml, shown_again
from screens.spec import Action, Related, ResourceSpec, Row, Target
from widgets.bar import KeyHint
from widgets.field_list import Fact, FieldList


class ResourceDetail(BaseScreen):
    """One row. It is asked for anew when there are news, and at the resource's interval."""

    def __init__(self, context: Context, spec: ResourceSpec, row: Row | None = None) -> None:
        """Make the details.

        Args:
            context: the context.
            spec: the resource.
            row: the row as the list had it, shown until more is known; None for a resource with a single row.
        """
        super().__init__(context)
        self.spec = spec
        self.resource_name = spec.name
        self.row: Row = row or {}
        self._in_flight = False
        self._news = False
        self._is_gone = False

    def content(self) -> ComposeResult:
        """The facts."""
        yield FieldList(id="facts", flow=False)

    def crumb(self) -> str:
        """The row's name."""
        return _(self.spec.title) if self.spec.single else label_of(self.spec, self.row)

    def help_text(self) -> str:
        """The declaration's own."""
        return _(self.spec.help)

    def on_mount(self) -> None:
        """Show what the list knew, and ask for the rest."""
        self.show_row()
        self.take_focus()
        self.look_again()
        self.set_interval(self.spec.interval, self._tick)

    def take_focus(self) -> None:
        """Focus what the keys go to first."""
        self.query_one(FieldList).focus()

    def _tick(self) -> None:
        if self.app.screen is self and not self.context.link.lost and not self._is_gone:
            self.look_again()

    def look_again(self) -> None:
        """Ask for the row anew; never twice at once, but once more when there are news meanwhile."""
        if not self.is_attached_to_app:
            return
        self._news = self._in_flight
        if self._in_flight:
            return
        self._in_flight = True
        self.ask(lambda: shown_again(self.context, self.spec, self.row), self._came, self._failed)

    def _came(self, row: Mapping[str, Any]) -> None:
        self._in_flight = False
        self._is_gone = False
        self.row = {**self.row, **row}
        self.show_row()
        self.show_keys()
        if self._news:
            self.look_again()

    def _failed(self, error: DosvmError) -> None:
        self._in_flight = False
        if isinstance(error, NotFound) and self.row:
            self._is_gone = True
            self.show_row()
        else:
            self.context.desk.explain(error)

    def show_row(self) -> None:
        """Show what is known."""
        shown = facts(self.spec, self.context.role, self.row) if self.row else []
        if self._is_gone:
            shown.insert(0, Fact(self.gone(), "", heading=True))
        self.query_one(FieldList).set(shown)

    def gone(self) -> str:
        """What is said of a row that is not there any more; empty while it is."""
        return _(N_("It does not exist any more; this is what was last known.")) if self._is_gone else ""

    # -- keys

    @property
    def _actions(self) -> list[Action]:
        return [a for a in actions_of(self.spec, self.context.role) if a.key and a.target is not Target.NOTHING]

    @property
    def _related(self) -> list[Related]:
        return [related for related in self.spec.related if self.context.role in related.roles]

    def hints(self) -> Sequence[KeyHint]:
        """The actions on this row, the related lists."""
        reasons = [why_not(action, [self.row]) for action in self._actions]
        hints = [
            KeyHint(a.key, _(a.label), bool(self.row) and not why, why=_(why) if why else "", short=_(a.short))
            for a, why in zip(self._actions, reasons, strict=True)
        ]
        hints += [KeyHint(related.key, _(related.label), short=_(related.short)) for related in self._related]
        return [*hints, KeyHint("y", "YAML"), KeyHint("Y", _(N_("Copy")))]

    def press_key(self, word: str) -> bool:
        """See :meth:`screens.base.BaseScreen.press_key`."""
        for action in self._actions:
            if action.key == word and self.row:
                ActionRun(self.context, self.spec, action, [self.row], self.ask, self.acted).start()
                return True
        for related in self._related:
            if related.key == word and self.row:
                filters = {key: self.row[source] for key, source in related.filters.items()}
                self.context.desk.open_resource(related.resource, filters=filters, title=label_of(self.spec, self.row))
                return True
        if word in ("r", "f5"):
            self.look_again()
        elif word == "Y" and self.row:
            from screens.generic.copying import open_copy

            columns = [column for column in self.spec.columns if self.context.role in column.roles]
            open_copy(self.context, self.spec, columns, [self.row])
        elif word == "y" and self.row:
            show_yaml(self.context, self.spec, self.row, self.ask)
        else:
            return super().press_key(word)
        return True

    def acted(self) -> None:
        """Something was changed by an action."""
        self.look_again()

    def retranslate(self) -> None:
        """See :meth:`screens.base.BaseScreen.retranslate`."""
        self.show_row()
        super().retranslate()
