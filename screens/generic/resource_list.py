"""THE list: any resource, paged, sorted and filtered by its operation, live, with its actions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from textual import events
from textual.app import ComposeResult
from textual.timer import Timer

from core.errors import AuthenticationFailed, DosvmError, PasswordChangeRequired
from core.i18n import N_, _
from screens.base import BaseScreen
from screens.context import Context, is_away
from screens.generic.cells import facts, row_cells, row_key_of, table_columns
from screens.generic.list_view import (
    PANE_WIDTH,
    ListView,
    can_sort,
    keep_view,
    next_pane,
    offered_columns,
    pane_place,
    shown_columns,
    view_of,
)
from screens.generic.offers import actions_of, takes_row, why_not
from screens.spec import Action, Related, ResourceSpec, Row, Target
from screens.values import show
from widgets.bar import Bar, KeyHint, Piece
from widgets.field_list import FieldList
from widgets.leaf import Across
from widgets.pages import Want
from widgets.virtual_table import VirtualTable

if TYPE_CHECKING:
    from textual.widgets import Input

#: Seconds between two looks that news asked for: a storm of news must not be a storm of questions.
CALM = 0.25
#: Seconds after a move until the count follows.
COUNT_AFTER = 0.06
#: Seconds after the last move until the keys and the details follow: over a slow line they cost more than the move.
REST = 0.25
#: Seconds after which a list that is still there gets its search line: made under the key, it took half of the search.
PREPARE = 1.0
#: The longest pause, in seconds, between tries when the cloud refuses to answer this list.
LONGEST = 60.0


class ResourceList(BaseScreen):
    """A resource's rows.

    At most one question for rows is under way. News and the resource's interval ask again for what is on screen; the
    table paints the lines that changed.
    """

    DEFAULT_CSS = """
    ResourceList #filter { height: 1; }
    ResourceList #search { width: 1fr; }
    ResourceList #slash { width: 2; }
    ResourceList #chosen { width: 1fr; }
    ResourceList #count { width: 26; }
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
        self._search = ""
        self._searching = False
        self._filters: dict[str, Any] = {}
        self._view = view_of(context.settings, spec, context.role)
        self._columns = shown_columns(spec, context.role, self._view, 80)
        self._in_flight = False
        self._news = False
        self._looked_at = -1e9
        self._refused = 0
        self._allowed_now: tuple[bool, ...] = ()
        self._count_waits: Timer | None = None
        self._rest: Timer | None = None
        self._expected: tuple[str, str | None] | None = None
        # Kept: looking for them through the tree at each key took longer than what is done with them.
        self._table: VirtualTable | None = None
        self._chosen, self._count = Bar(id="chosen"), Bar(id="count")
        self._pane = FieldList(flow=True, id="pane")
        self._search_parts: tuple[Bar, Input] | None = None

    # -- made

    def content(self) -> ComposeResult:
        """The filter line and the table."""
        with Across(id="filter"):
            yield self._chosen
            yield self._count
        self._table = VirtualTable(
            table_columns(self.spec, self._columns),
            row_cells(self._columns),
            lambda row: row_key_of(self.spec, row),
            id="rows",
        )
        yield self._table
        self._pane.can_focus = False
        self._pane.set_class(bool(self.pane_place), f"-{self.pane_place}")
        yield self._pane

    @property
    def table(self) -> VirtualTable:
        """The table."""
        assert self._table is not None, "the list is not made yet"
        return self._table

    def crumb(self) -> str:
        """The row it is seen from, and the resource."""
        title = _(self.spec.title)
        return f"{self._seen_from}: {title}" if self._seen_from else title

    def help_text(self) -> str:
        """The declaration's own."""
        return _(self.spec.help)

    def on_mount(self) -> None:
        """Ask for the first page at once."""
        self._fit_columns()
        self.table.set_sort(self._view.sort, self._view.descending)
        self.table.focus()
        self._pump()
        self.set_interval(self.spec.interval, self._tick)
        self.set_timer(PREPARE, self._make_search_line)

    def on_resize(self) -> None:
        """Show as many columns as there is room for, and the details where there is room for them."""
        if not self.is_framed:
            return
        self._place_pane()
        self._fit_columns()

    @property
    def pane_place(self) -> str:
        """Where the details of the row under the cursor stand; empty for nowhere."""
        return pane_place(self.context.settings.pane, *self.app.size)

    def _place_pane(self) -> None:
        for place in ("below", "right"):
            self._pane.set_class(self.pane_place == place, f"-{place}")
        self._show_pane()

    def turn_pane(self) -> None:
        """Details below, at the right, or nowhere."""
        self.context.settings.pane = next_pane(self.pane_place)
        self.context.settings.save()
        self._place_pane()
        self._fit_columns()

    def _fit_columns(self) -> None:
        width = self.app.size.width - (PANE_WIDTH if self.pane_place == "right" else 0)
        columns = shown_columns(self.spec, self.context.role, self._view, width)
        if columns != self._columns:
            self._columns = columns
            self.table.set_columns(table_columns(self.spec, columns), row_cells(columns))

    # -- fetching

    def look_again(self) -> None:
        """News: what is on screen is fetched anew, soon."""
        self._news = True
        if self.is_mounted and self.is_attached_to_app:
            pause = CALM - (self.context.clock.monotonic() - self._looked_at)
            if pause > 0:
                self.set_timer(pause, self._pump)
            else:
                self._pump()

    def _tick(self) -> None:
        if self.app.screen is not self or self.context.link.lost:
            return
        if self._refused:
            pause = min(LONGEST, self.spec.interval * 2**self._refused)
            if self.context.clock.monotonic() - self._looked_at < pause:
                return
        self._news = True
        self._pump()

    def _pump(self) -> None:
        """Ask for the most urgent rows, when none are under way."""
        if self._in_flight or not self.is_attached_to_app:
            return
        want = self.table.wanted()
        if want is None and self._news:
            want = self.table.seen()
        if want is None:
            return
        self._news = False
        self._in_flight = True
        self._looked_at = self.context.clock.monotonic()
        arguments = {**self._query(), "offset": want.offset, "limit": want.limit}
        self.ask(
            lambda: self.context.backend.call(self.spec.rows_by, **arguments),
            lambda answer: self._came(want, answer),
            self._failed,
        )

    def _query(self) -> dict[str, Any]:
        """Which rows, in which order."""
        return {
            "search": self._search,
            "filters": {**self._filters, **self._fixed},
            "sort": self._view.sort,
            "descending": self._view.descending,
        }

    def _came(self, want: Want, answer: Mapping[str, Any]) -> None:
        self._in_flight = False
        self._refused = 0
        empty = _(N_("Nothing found.")) if self._search or self._filters else _(self.spec.empty)
        self.table.set_placeholder(empty)
        if self._expected is not None and self._expected[1] != self._cursor_key:
            self._expected = None
        self.table.deliver(want, answer["rows"], answer["total"], more=answer.get("more", False))
        self._find_expected(answer["rows"])
        self._show_chosen()
        if self._news or self.table.wanted() is not None:
            self.look_again() if self._news else self._pump()

    def _failed(self, error: DosvmError) -> None:
        """What is on screen stays; a list that is refused is asked for less and less often."""
        self._in_flight = False
        self._refused += 1
        if is_away(error) or isinstance(error, AuthenticationFailed | PasswordChangeRequired):
            self.context.desk.explain(error)
            return
        if not self.table.total:
            self.table.set_placeholder(error.text())
        elif self._refused == 1:
            self.context.desk.explain(error)

    def on_virtual_table_wanted(self) -> None:
        """The table needs rows."""
        self._pump()

    # -- what is said around the table

    def _show_chosen(self) -> None:
        pieces: list[Piece] = []
        if self._search and not self._searching:
            pieces.append(Piece(f" /{self._search} ", "chosen"))
        for filter_ in self.spec.filters:
            if filter_.key in self._filters:
                value = show(self._filters[filter_.key], filter_.kind, dict(filter_.choices))
                pieces.append(Piece(f" {_(filter_.label)}: {value} ", "strong"))
        if not pieces and not self._searching:
            pieces.append(Piece(_(N_(" / searches")) + (_(N_(", f filters")) if self.spec.filters else ""), "muted"))
        right = []
        marked = len(self.table.marked)
        if marked:
            right.append(Piece(_(N_("{count} marked")).format(count=marked) + "  ", "strong"))
        if self.table.loaded:
            total = self.table.total
            at = f"{self.table.cursor + 1:>{len(str(total))}}/" if total else ""
            right.append(Piece(f"{at}{total}{'+' if self.table.more else ''} ", "muted"))
        self._chosen.set(pieces)
        # A widget of its own: moving on repaints the count alone.
        self._count.set((), right)

    def on_virtual_table_highlighted(self) -> None:
        """Other keys may make sense for this row; what stands around the table waits until one rests."""
        if self._count_waits is None:
            self._count_waits = self.set_timer(COUNT_AFTER, self._show_count)
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(REST, self._show_around)

    def _show_count(self) -> None:
        self._count_waits = None
        self._show_chosen()

    def _show_around(self) -> None:
        self._show_chosen()
        self._show_pane()
        self._show_keys_anew()

    def _show_keys_anew(self) -> None:
        allowed = self._allowed()
        if allowed != self._allowed_now:
            self._allowed_now = allowed
            self.show_keys()

    def _show_pane(self) -> None:
        """On a tall terminal, what is known of the row under the cursor stands below the table."""
        row = self.table.cursor_row
        if self._pane.display:
            self._pane.set(facts(self.spec, self.context.role, row) if row is not None else ())

    def on_virtual_table_marked(self) -> None:
        """Say how many are marked; what makes no sense for the row under the cursor may for them."""
        self._show_chosen()
        self._show_keys_anew()

    def on_virtual_table_mark_all_wanted(self) -> None:
        """Mark all that the search and the filters find."""
        from screens.generic.marking import MarkAll

        MarkAll(self.context, self.spec, self.ask, self._query, self.table.mark).next_page()

    def _allowed(self) -> tuple[bool, ...]:
        return tuple(hint.enabled for hint in self._offers())

    def _offers(self) -> Iterator[KeyHint]:
        """The actions: one that makes no sense for the row under the cursor, or any that is marked, is grey."""
        for action in self._actions:
            rows = self.meant(action)
            why = why_not(action, rows)
            enabled = not why and (bool(rows) or not takes_row(action))
            yield KeyHint(action.key, _(action.label), enabled, why=_(why) if why else "")

    def meant(self, action: Action) -> list[Row]:
        """The rows that an action is for now: those marked, if it is for many, or the one under the cursor."""
        if not takes_row(action) or self._table is None:
            return []
        if action.target is Target.ROWS and self.table.marked:
            return self.table.marked
        row = self.table.cursor_row
        return [row] if row is not None else []

    @property
    def _actions(self) -> list[Action]:
        return [action for action in actions_of(self.spec, self.context.role) if action.key]

    @property
    def _related(self) -> list[Related]:
        return [related for related in self.spec.related if self.context.role in related.roles]

    def hints(self) -> Sequence[KeyHint]:
        """The actions, the related lists."""
        row = self._table.cursor_row if self._table is not None else None
        hints = [*self._offers()]
        hints += [KeyHint(related.key, _(related.label), row is not None) for related in self._related]
        return hints

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

    # -- keys

    def press_key(self, word: str) -> bool:
        """See :meth:`screens.base.BaseScreen.press_key`."""
        for action in self._actions:
            if action.key == word:
                self.start(action)
                return True
        for related in self._related:
            if related.key == word:
                self.open_related(related)
                return True
        ways = {
            "/": self.open_search,
            "f": self.open_filters,
            "s": self.sort_next,
            "S": self.sort_other_way,
            "O": self.open_columns,
            "P": self.turn_pane,
            "r": self.look_again,
            "f5": self.look_again,
            "y": self.open_yaml,
            "Y": self.open_copy,
            "x": self.open_export,
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
        elif self._search:
            self._search_line.value = ""
            self._set_search("")
        elif self._filters:
            self._set_filters({})
        else:
            return False
        return True

    def start(self, action: Action, rows: list[Row] | None = None) -> None:
        """Begin an action: on these rows, or on the marked ones, or on the one under the cursor."""
        rows = rows or []
        if not rows and takes_row(action):
            rows = self.meant(action)
            if not rows:
                return
        from screens.generic.actions import ActionRun

        given = dict.fromkeys(self._fixed, self._seen_from) if self._seen_from else {}
        mine = {row_key_of(self.spec, row) for row in rows}
        others = sum(row_key_of(self.spec, row) not in mine for row in self.table.marked)
        ActionRun(
            self.context, self.spec, action, rows, self.ask, self._acted, given=given, made=self._expect, marked=others
        ).start()

    def _expect(self, uuid: str) -> None:
        """The cursor goes to a new row as soon as it is there, unless somebody moves it before."""
        self._expected = (uuid, self._cursor_key)

    @property
    def _cursor_key(self) -> str | None:
        row = self.table.cursor_row
        return None if row is None else row_key_of(self.spec, row)

    def _find_expected(self, rows: Sequence[Row]) -> None:
        if self._expected is None:
            return
        for row in rows:
            if row.get("uuid") == self._expected[0]:
                self._expected = None
                self.table.go_to(row_key_of(self.spec, row))
                return

    def _acted(self) -> None:
        if self.is_framed:
            self.table.unmark()
            self.look_again()

    def open_related(self, related: Related) -> None:
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

    # -- search, filters, order

    def open_search(self) -> None:
        """Begin to type what is looked for."""
        line = self._search_line
        self._show_search(shown=True)
        line.focus()

    @property
    def _search_line(self) -> Input:
        self._make_search_line()
        assert self._search_parts is not None, "the list is not made yet"
        return self._search_parts[1]

    def _make_search_line(self) -> None:
        """Make it, a moment later than the list: the list is on screen sooner without it."""
        if self.is_framed and self._search_parts is None:
            from widgets.inputs import LineInput

            slash, line = Bar(id="slash"), LineInput(self._search, id="search")
            slash.set([Piece(" /", "key")])
            slash.display = line.display = False
            self._search_parts = (slash, line)
            self.query_one("#filter").mount(slash, line, before=self._chosen)

    def _show_search(self, *, shown: bool) -> None:
        self._searching = shown
        # Not by a class: looking through the style sheet for it took as long as the search.
        for widget in self._search_parts or ():
            widget.display = shown
        self._show_chosen()

    def _close_search(self) -> None:
        self.table.focus()
        self._show_search(shown=False)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search while one types."""
        event.stop()
        self._set_search(event.value.strip())

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter keeps the search and goes to the rows."""
        event.stop()
        self._close_search()

    def on_key(self, event: events.Key) -> None:
        """In the search line Esc clears it, and arrows go to the rows."""
        if self._searching and self._search_line.has_focus and event.key in ("escape", "down", "up"):
            event.stop()
            event.prevent_default()
            if event.key == "escape":
                self._search_line.value = ""
            self._close_search()

    def _set_search(self, text: str) -> None:
        if text != self._search:
            self._search = text
            self._restart()

    def _restart(self) -> None:
        self.table.restart()
        self._show_chosen()
        self._pump()

    def open_filters(self) -> None:
        """Choose filters in a form."""
        from screens.generic.filters import filter_dialog

        dialog = filter_dialog(self.context, self.spec, self._filters, self._fixed)
        if dialog is not None:
            self.context.desk.show(dialog, self._filters_typed)

    def _filters_typed(self, typed: Mapping[str, Any] | None) -> None:
        if typed is not None:
            from screens.generic.filters import chosen

            self._set_filters(chosen(self.spec, typed))

    def _set_filters(self, chosen: dict[str, Any]) -> None:
        if chosen != self._filters:
            self._filters = chosen
            self._restart()

    def sort_next(self) -> None:
        """Sort by the next column that can be sorted by."""
        keys = [column.key for column in self._columns if can_sort(column)]
        if keys:
            at = keys.index(self._view.sort) if self._view.sort in keys else -1
            self.see(replace(self._view, sort=keys[(at + 1) % len(keys)], descending=False))

    def sort_other_way(self) -> None:
        """Sort the other way round."""
        self.see(replace(self._view, descending=not self._view.descending))

    def on_virtual_table_sort_wanted(self, event: VirtualTable.SortWanted) -> None:
        """A title was clicked."""
        event.stop()
        self.see(self._view.sorted_by(event.column))

    def open_columns(self) -> None:
        """Choose columns, their order, and what the rows are sorted by."""
        from screens.generic.columns import ColumnsDialog

        row = self.table.cursor_row
        offered = offered_columns(self.spec, self.context.role, [row] if row is not None else ())
        shown = [column.key for column in self._columns]
        dialog = ColumnsDialog(self.context, self.spec, offered, shown, self._view)
        self.context.desk.show(dialog, lambda view: self.see(view) if view is not None else None)

    def see(self, view: ListView) -> None:
        """Show the list in another way, and remember it."""
        before, self._view = self._view, view
        keep_view(self.context.settings, self.spec, view)
        self._fit_columns()
        if (view.sort, view.descending) != (before.sort, before.descending):
            self.table.set_sort(view.sort, view.descending)
            self._restart()

    # -- seen otherwise

    def open_yaml(self) -> None:
        """Show all that is known of the row, as YAML."""
        from screens.generic.views import show_yaml

        row = self.table.cursor_row
        if row is not None:
            show_yaml(self.context, self.spec, row, self.ask)

    def open_export(self) -> None:
        """Write all rows of this choice and order to a file."""
        from screens.generic.export import open_export

        open_export(self.context, self.spec, self._query(), self._columns, self.table.marked)

    def open_copy(self) -> None:
        """Copy a cell of the row under the cursor, or the marked rows."""
        from screens.generic.copying import open_copy

        rows = self.table.marked or [row for row in (self.table.cursor_row,) if row is not None]
        if rows:
            open_copy(self.context, self.spec, self._columns, rows)

    def retranslate(self) -> None:
        """See :meth:`screens.base.BaseScreen.retranslate`."""
        self.table.set_columns(table_columns(self.spec, self._columns))
        if not self.table.total and self.table.loaded:
            self.table.set_placeholder(_("Nothing found.") if self._search or self._filters else _(self.spec.empty))
        self._show_chosen()
        self._show_pane()
        super().retranslate()
