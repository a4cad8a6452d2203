"""THE list: any resource, paged, sorted and filtered by its operation, live, with its actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textual.app import ComposeResult
from textual.timer import Timer

from core.i18n import N_, _
from screens.base import BaseScreen
from screens.context import Context
from screens.generic.filter_line import FilterLine
from screens.generic.list_look import ListLook
from screens.generic.offers import nothing
from screens.generic.row_actions import RowActions
from screens.generic.rows_feed import RowsFeed
from screens.spec import Related, ResourceSpec
from widgets.bar import KeyHint
from widgets.virtual_table import VirtualTable

#: Seconds after a move until the count follows.
COUNT_AFTER = 0.06
#: Seconds after the last move until the keys and the details follow: over a slow line they cost more than the move.
REST = 0.25


class ResourceList(BaseScreen):
    """A resource's rows.

    How they are looked at, which are wanted, how they come, and what is done with them is each seen to by a part of its
    own; here the parts meet, and keys go to them.
    """

    DEFAULT_CSS = """
    ResourceList #pane { background: $surface; padding: 0 1; display: none; }
    ResourceList #pane.-below { display: block; height: 8; }
    ResourceList #pane.-right { display: block; dock: right; width: 44; height: 1fr; }
    """

    def __init__(
        self, context: Context, spec: ResourceSpec, *, filters: Mapping[str, Any] | None = None, title: str = ""
    ) -> None:
        """Make a list.

        Args:
            context: the context.
            spec: the resource.
            filters: fixed filters, when it is seen from a row of another resource.
            title: the name of that row.
        """
        super().__init__(context)
        self.spec = spec
        self.resource_name = spec.name
        self._fixed = dict(filters or {})
        self._seen_from = title
        self.look = ListLook(context, spec, self._restart)
        self.table: VirtualTable = self.look.table
        self.filter_line = FilterLine(context, spec, self.table, self._fixed, self._restart)
        self._feed = RowsFeed(self, spec, self.table, self._query, self._nothing, self.filter_line.show_state)
        given = dict.fromkeys(self._fixed, title) if title else {}
        self.row_actions = RowActions(self, spec, self.table, given, self._feed.expect, self._acted)
        self._allowed_now: tuple[bool, ...] = ()
        self._count_waits: Timer | None = None
        self._rest: Timer | None = None

    # -- made

    def content(self) -> ComposeResult:
        """The filter line, the table, the details."""
        yield self.filter_line
        yield self.table
        place = self.look.pane_place
        self.look.pane.set_class(bool(place), f"-{place}")
        yield self.look.pane

    def crumb(self) -> str:
        """The row it is seen from, and the resource."""
        title = _(self.spec.title)
        return f"{self._seen_from}: {title}" if self._seen_from else title

    def help_text(self) -> str:
        """The declaration's own."""
        return _(self.spec.help)

    def on_mount(self) -> None:
        """Ask for the first page at once."""
        self.look.fit_columns()
        self.table.set_sort(self.look.view.sort, self.look.view.descending)
        self.table.focus()
        self._feed.pump()
        self.set_interval(self.spec.interval, self._feed.tick)

    def on_resize(self) -> None:
        """Show as much as there is room for."""
        if self.is_framed:
            self.look.fit()

    # -- rows

    def look_again(self) -> None:
        """News: what is on screen is fetched anew, soon."""
        self._feed.look_again()

    def _query(self) -> dict[str, Any]:
        """Which rows, in which order."""
        return {
            "search": self.filter_line.search,
            "filters": {**self.filter_line.filters, **self._fixed},
            "sort": self.look.view.sort,
            "descending": self.look.view.descending,
        }

    def _nothing(self) -> str:
        """What stands there when there are no rows."""
        if self.filter_line.narrows:
            return _(N_("Nothing found."))
        return nothing(self.spec, self.context.role, self._fixed)

    def _restart(self) -> None:
        """Other rows are wanted, or in another order."""
        self.table.restart()
        self.filter_line.show_state()
        self._feed.pump()

    def on_virtual_table_wanted(self) -> None:
        """The table needs rows."""
        self._feed.pump()

    # -- what is said around the table

    def on_virtual_table_highlighted(self) -> None:
        """Other keys may make sense for this row; what stands around the table waits until one rests."""
        if self._count_waits is None:
            self._count_waits = self.set_timer(COUNT_AFTER, self._show_count)
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(REST, self._show_around)

    def _show_count(self) -> None:
        self._count_waits = None
        self.filter_line.show_state()

    def _show_around(self) -> None:
        self.filter_line.show_state()
        self.look.show_pane()
        self._show_keys_anew()

    def _show_keys_anew(self) -> None:
        allowed = tuple(hint.enabled for hint in self.row_actions.hints())
        if allowed != self._allowed_now:
            self._allowed_now = allowed
            self.show_keys()

    def on_virtual_table_marked(self) -> None:
        """Say how many are marked; what makes no sense for the row under the cursor may for them."""
        self.filter_line.show_state()
        self._show_keys_anew()

    def on_virtual_table_mark_all_wanted(self) -> None:
        """Mark all that the search and the filters find."""
        from screens.generic.marking import MarkAll

        MarkAll(self.context, self.spec, self.ask, self._query, self.table.mark).next_page()

    # -- keys

    @property
    def _related(self) -> list[Related]:
        return [related for related in self.spec.related if self.context.role in related.roles]

    def hints(self) -> Sequence[KeyHint]:
        """The actions, the related lists."""
        row = self.table.cursor_row
        related = [KeyHint(r.key, _(r.label), row is not None, short=_(r.short)) for r in self._related]
        return [*self.row_actions.hints(), *related]

    def all_keys(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """The declared keys, those of every list, those of every screen."""
        lists = [
            (key, _(label))
            for key, label in (
                ("Enter", N_("details")),
                ("/", N_("search; Esc clears it")),
                ("f", N_("filters")),
                ("s, S", N_("sort by the next column; the other way round")),
                ("O", N_("sort by any column; choose and order the columns")),
                ("P", N_("details below, at the right, or not at all")),
                ("Space, *", N_("mark; mark all that were found, or none")),
                ("Up Down j k", N_("one row")),
                ("PgUp PgDn", N_("one page")),
                ("Home End g G", N_("first, last row")),
                ("Left Right", N_("columns that did not fit")),
                ("y", N_("as YAML")),
                ("Y", N_("copy a cell, the row, or the marked rows")),
                ("x", N_("write all rows, or the marked ones, to a file")),
                ("Tab", N_("to the menu at the left and back")),
            )
        ]
        groups = super().all_keys()
        return [groups[0], (_(N_("In a list")), lists), *groups[1:]]

    def press_key(self, word: str) -> bool:
        """See :meth:`screens.base.BaseScreen.press_key`."""
        if self.row_actions.press(word):
            return True
        for related in self._related:
            if related.key == word:
                self._open_related(related)
                return True
        ways = {
            "/": self.filter_line.open_search,
            "f": self.filter_line.open_filters,
            "s": self.look.sort_next,
            "S": self.look.sort_other_way,
            "O": self.look.open_columns,
            "P": self.look.turn_pane,
            "r": self.look_again,
            "f5": self.look_again,
            "y": self._open_yaml,
            "Y": self._open_copy,
            "x": self._open_export,
        }
        if word in ways:
            ways[word]()
            return True
        if word == "escape" and self._clear_one():
            return True
        return super().press_key(word)

    def _clear_one(self) -> bool:
        """Esc takes away marks, then the search, then the filters, before it goes back."""
        if self.table.marked:
            self.table.unmark()
            return True
        return self.filter_line.clear_one()

    def _acted(self) -> None:
        if self.is_framed:
            self.table.unmark()
            self.look_again()

    def _open_related(self, related: Related) -> None:
        """Open another resource's list as seen from the row under the cursor."""
        row = self.table.cursor_row
        if row is not None:
            filters = {key: row[source] for key, source in related.filters.items()}
            label = str(row.get(self.spec.label) or "")
            self.context.desk.open_resource(related.resource, filters=filters, title=label)

    def on_virtual_table_activated(self, event: VirtualTable.Activated) -> None:
        """Open the details."""
        event.stop()
        self.context.desk.open_row(self.spec, event.row)

    def on_virtual_table_sort_wanted(self, event: VirtualTable.SortWanted) -> None:
        """A title was clicked."""
        event.stop()
        self.look.sort_by(event.column)

    # -- seen otherwise

    def _open_yaml(self) -> None:
        """Show all that is known of the row, as YAML."""
        from screens.generic.views import show_yaml

        row = self.table.cursor_row
        if row is not None:
            show_yaml(self.context, self.spec, row, self.ask)

    def _open_export(self) -> None:
        """Write all rows of this choice and order to a file."""
        from screens.generic.export import open_export

        open_export(self.context, self.spec, self._query(), self.look.columns, self.table.marked)

    def _open_copy(self) -> None:
        """Copy a cell of the row under the cursor, or the marked rows."""
        from screens.generic.copying import open_copy

        rows = self.table.marked or [row for row in (self.table.cursor_row,) if row is not None]
        if rows:
            open_copy(self.context, self.spec, self.look.columns, rows)

    def retranslate(self) -> None:
        """See :class:`screens.base.BaseScreen`."""
        self.look.retitle()
        self._feed.retranslate()
        self.filter_line.show_state()
        self.look.show_pane()
        super().retranslate()
