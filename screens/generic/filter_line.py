"""The line above a list's rows: what they are searched and filtered by, how many are marked, where one is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from textual import events

from core.i18n import N_, _
from screens.context import Context
from screens.spec import ResourceSpec
from screens.values import show
from widgets.bar import Bar, Piece
from widgets.leaf import Across
from widgets.virtual_table import VirtualTable

if TYPE_CHECKING:
    from textual.widgets import Input

#: Seconds after which a list that is still there gets its search line: made under the key, it took half of the search.
PREPARE = 1.0


class FilterLine(Across):
    """Which rows are wanted: :attr:`search` and :attr:`filters`, as they are typed and chosen here."""

    DEFAULT_CSS = """
    FilterLine { height: 1; }
    FilterLine #search { width: 1fr; }
    FilterLine #slash { width: 2; }
    FilterLine #chosen { width: 1fr; }
    FilterLine #count { width: 26; }
    """

    def __init__(
        self,
        context: Context,
        spec: ResourceSpec,
        table: VirtualTable,
        fixed: Mapping[str, Any],
        changed: Callable[[], None],
    ) -> None:
        """Make it.

        Args:
            context: the context.
            spec: the resource.
            table: the rows.
            fixed: filters that are not chosen here.
            changed: called when other rows are wanted.
        """
        # A widget of its own for the count: moving on repaints that alone.
        self._chosen, self._count = Bar(id="chosen"), Bar(id="count")
        super().__init__(self._chosen, self._count, id="filter")
        self.context = context
        self._spec = spec
        self._table = table
        self._fixed = fixed
        self._changed = changed
        self._searching = False
        self._search_parts: tuple[Bar, Input] | None = None
        self.search = ""
        self.filters: dict[str, Any] = {}

    def on_mount(self) -> None:
        """The search line is made a moment later: the list is on screen sooner without it."""
        self.set_timer(PREPARE, self._make_search_line)

    @property
    def narrows(self) -> bool:
        """Whether rows are left out by what was typed or chosen here."""
        return bool(self.search or self.filters)

    def show_state(self) -> None:
        """Say what is searched and filtered by, how many are marked, and where the cursor is."""
        pieces: list[Piece] = []
        if self.search and not self._searching:
            pieces.append(Piece(f" /{self.search} ", "chosen"))
        for filter_ in self._spec.filters:
            if filter_.key in self.filters:
                value = show(self.filters[filter_.key], filter_.kind, dict(filter_.choices))
                pieces.append(Piece(f" {_(filter_.label)}: {value} ", "strong"))
        if not pieces and not self._searching:
            pieces.append(Piece(_(N_(" / searches")) + (_(N_(", f filters")) if self._spec.filters else ""), "muted"))
        right = []
        marked = len(self._table.marked)
        if marked:
            right.append(Piece(_(N_("{count} marked")).format(count=marked) + "  ", "strong"))
        if self._table.loaded:
            total = self._table.total
            at = f"{self._table.cursor + 1:>{len(str(total))}}/" if total else ""
            right.append(Piece(f"{at}{total}{'+' if self._table.more else ''} ", "muted"))
        self._chosen.set(pieces)
        self._count.set((), right)

    def clear_one(self) -> bool:
        """Take the search away, or else the filters; False when there is neither."""
        if self.search:
            self._search_line.value = ""
            self._set_search("")
        elif self.filters:
            self._set_filters({})
        else:
            return False
        return True

    # -- search

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
        if self._search_parts is None and self.is_attached:
            from widgets.inputs import LineInput

            slash, line = Bar(id="slash"), LineInput(self.search, id="search")
            slash.set([Piece(" /", "key")])
            slash.display = line.display = False
            self._search_parts = (slash, line)
            self.mount(slash, line, before=self._chosen)

    def _show_search(self, *, shown: bool) -> None:
        self._searching = shown
        # Not by a class: looking through the style sheet for it took as long as the search.
        for widget in self._search_parts or ():
            widget.display = shown
        self.show_state()

    def _close_search(self) -> None:
        self._table.focus()
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
        if text != self.search:
            self.search = text
            self._changed()

    # -- filters

    def open_filters(self) -> None:
        """Choose filters in a form."""
        from screens.generic.filters import filter_dialog

        dialog = filter_dialog(self.context, self._spec, self.filters, self._fixed)
        if dialog is not None:
            self.context.desk.show(dialog, self._filters_typed)

    def _filters_typed(self, typed: Mapping[str, Any] | None) -> None:
        if typed is not None:
            from screens.generic.filters import chosen

            self._set_filters(chosen(self._spec, typed))

    def _set_filters(self, chosen: dict[str, Any]) -> None:
        if chosen != self.filters:
            self.filters = chosen
            self._changed()
