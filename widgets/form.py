"""A form: fields in one column, checked as one types, on panels where there are many."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from textual import events
from textual.containers import VerticalScroll
from textual.geometry import Region
from textual.message import Message
from textual.widget import Widget

from widgets.field_row import FieldRow
from widgets.form_field import BadValue, FormField, FormTexts, InputKind
from widgets.inputs import Choice, Edited, LineReached, NextWanted
from widgets.panel_tabs import PanelTabs


class Form(Widget):
    """Fields, and what was typed into them."""

    DEFAULT_CSS = """
    Form { layout: vertical; height: auto; }
    Form > VerticalScroll { height: auto; max-height: 100%; scrollbar-size-vertical: 1; }
    """

    @dataclass
    class HintChanged(Message):
        """Another field has the focus; its rule in words."""

        hint: str

    @dataclass
    class Touched(Message):
        """The value of a field changed by hand."""

        key: str

    class Completed(Message):
        """Enter was pressed in the last field."""

    def __init__(
        self,
        fields: Sequence[FormField],
        texts: FormTexts,
        *,
        together: Callable[[Mapping[str, Any]], Mapping[str, str]] | None = None,
        id: str | None = None,
    ) -> None:
        """Make a form.

        Args:
            fields: in order.
            texts: what the form itself says.
            together: what is wrong with values beside each other, key -> text.
            id: the widget's id.
        """
        super().__init__(id=id)
        self._texts = texts
        self._together = together
        self._beside: set[str] = set()
        width = _label_width(fields)
        self.rows = {field.key: FieldRow(field, width) for field in fields}
        self._tabs = PanelTabs()
        self._panel = 0
        #: The field whose rule is told.
        self._hinted = ""
        self._start: dict[str, Any] = {}
        self._began = {field.key: field.value for field in fields}

    # -- made

    @property
    def panels(self) -> list[str]:
        """The names of the panels, in order; empty when there are none."""
        return list(dict.fromkeys(row.field.panel for row in self.rows.values() if row.field.panel))

    def compose(self) -> Any:
        """The panels' names and the rows."""
        if self.panels:
            yield self._tabs
        with VerticalScroll(can_focus=False):
            yield from self.rows.values()

    def on_mount(self) -> None:
        """Remember what it began with."""
        self._start = {key: row.input.state() for key, row in self.rows.items()}
        self._show()
        self.focus_first()

    def relabel(self, fields: Sequence[FormField], texts: FormTexts) -> None:
        """Show the texts of another language; what was typed stays."""
        before, self._texts = self._texts, texts
        width = _label_width(fields)
        for field in fields:
            if field.key in self.rows:
                self.rows[field.key].relabel(field, width)
        for key, row in self.rows.items():
            if row.error:
                self._check(key, needed=row.error == before.needed)
        self._check_together()
        self._show()
        if self._hinted:
            self.post_message(self.HintChanged(self.rows[self._hinted].field.hint))

    def start_again(self, fields: Sequence[FormField], mine: Mapping[str, Any]) -> None:
        """Begin with other values, for what is edited has changed meanwhile.

        Args:
            fields: with the values to begin with.
            mine: key -> value that stays as typed, and counts as changed.
        """
        for field in fields:
            row = self.rows.get(field.key)
            if row is None:
                continue
            if field.kind is InputKind.SECRET:
                # It begins with nothing, and what was typed is not typed anew.
                if field.key not in mine:
                    row.input.put(None)
                    self._check(field.key)
                continue
            row.input.put(field.value)
            self._began[field.key] = field.value
            self._start[field.key] = row.input.state()
            if field.key in mine:
                row.input.put(mine[field.key])
            row.grown()
            self._check(field.key)
        self._show()

    def take_back(self) -> bool:
        """Give the field that has the focus what it began with; False when none has it, or nothing was typed."""
        row = self.focused_row
        if row is None or row.input.state() == self._start.get(row.field.key):
            return False
        row.input.put(None if row.field.kind is InputKind.SECRET else self._began[row.field.key])
        self.touched(row.field.key)
        return True

    def warn(self, key: str, text: str) -> None:
        """Say something about a field that is right as far as the form knows, without going there."""
        if key in self.rows and not self.rows[key].error:
            self.rows[key].set_error(text)
            self._show()

    # -- values

    @property
    def dirty(self) -> bool:
        """Whether anything was typed."""
        return any(row.input.state() != self._start.get(key) for key, row in self.rows.items())

    def changed(self) -> set[str]:
        """The keys of the fields that are not as they began."""
        return {key for key, row in self.rows.items() if row.input.state() != self._start.get(key)}

    def values(self) -> dict[str, Any]:
        """The values of all fields that are shown; what is no value counts as none."""
        found: dict[str, Any] = {}
        for key, row in self.rows.items():
            try:
                found[key] = row.input.get()
            except BadValue:
                found[key] = None
        return {key: value for key, value in found.items() if self._applies(key, found)}

    def _applies(self, key: str, values: Mapping[str, Any]) -> bool:
        when = self.rows[key].field.when
        return when is None or when(values)

    def check(self) -> bool:
        """Check every field, say what is wrong under each, focus the first; True when all is right."""
        values = self.values()
        for key in values:
            self._check(key, needed=True)
        self._check_together()
        wrong = [key for key in self.rows if key in values and self.rows[key].error]
        self._show()
        if wrong:
            self.focus_field(wrong[0])
        return not wrong

    def _check(self, key: str, *, needed: bool = False) -> bool:
        row = self.rows[key]
        error = caution = ""
        try:
            value = row.input.get()
            if value is None and needed and row.field.required:
                error = self._texts.needed
            elif value is not None and row.field.caution is not None:
                caution = row.field.caution(value)
        except BadValue as bad:
            error = str(bad)
        row.set_caution(caution)
        row.set_error(error)
        return not error

    def _check_together(self) -> None:
        """Say at its field what is wrong with a value beside the others, unless it is wrong by itself."""
        found = self._together(self.values()) if self._together is not None else {}
        for key in self._beside - set(found):
            # What stood there was of the others' doing: the field's own check says what is left.
            self._check(key)
        self._beside = set()
        for key, text in found.items():
            if key in self.rows and self._check(key):
                self.rows[key].set_error(text)
                self._beside.add(key)

    def set_error(self, key: str, text: str) -> bool:
        """Say what somebody else found wrong with a field, and go there; False when there is no such field here."""
        if not self.say_at(key, text):
            return False
        self.focus_field(key)
        return True

    def say_at(self, key: str, text: str) -> bool:
        """Say what is wrong with a field without going there; False when there is no such field here."""
        if key not in self.rows:
            return False
        self.rows[key].set_error(text)
        self._show()
        return True

    # -- where one is

    @property
    def focused_row(self) -> FieldRow | None:
        """The field that has the focus, with what is said of it."""
        return next((row for row in self.rows.values() if row.has_focus_within), None)

    def focus_first(self) -> None:
        """Focus the first field of the panel."""
        shown = [row for row in self.rows.values() if row.display]
        if shown:
            shown[0].input.focus()

    def focus_field(self, key: str) -> None:
        """Focus a field, wherever it is."""
        panel = self.rows[key].field.panel
        if panel:
            self._panel = self.panels.index(panel)
        self._show()
        self.rows[key].input.focus()
        self._keep_in_view(said=True)

    def _keep_in_view(self, *, said: bool = False) -> None:
        """Once all has its place, scroll to the field that has the focus: nobody types what is out of sight."""
        self.call_after_refresh(self._show_focused, said)

    def _show_focused(self, said: bool) -> None:
        """Show the field that has the focus with what is said of it; ``said``: of a field of many lines just that."""
        row = self.focused_row
        if row is None or not row.is_attached:
            return
        view, place = self.query_one(VerticalScroll), row.virtual_region
        if place.height > view.scrollable_content_region.height:
            # Not all of it can be seen.
            line, lines = (row.input.lines, row.said) if said and row.said else (row.input.at_line, 1)
            place = Region(place.x, place.y + line, place.width, lines)
        view.scroll_to_region(place, animate=False, force=True)

    def on_resize(self) -> None:
        """There is more room, or less."""
        self._keep_in_view()

    def on_field_row_resized(self, event: FieldRow.Resized) -> None:
        """Something is said above the field that has the focus, or not any more."""
        event.stop()
        self._keep_in_view()

    def on_line_reached(self, event: LineReached) -> None:
        """Another line of a field of many."""
        event.stop()
        self._keep_in_view()

    def go_to_panel(self, index: int) -> None:
        """Show a panel and focus its first field."""
        if self.panels:
            self._panel = index % len(self.panels)
            self._show()
            if not self._tabs.has_focus:
                self.focus_first()

    def next_panel(self, by: int) -> None:
        """Show the panel after this one, or before it."""
        self.go_to_panel(self._panel + by)

    def _show(self) -> None:
        """Show the rows of this panel whose condition holds."""
        panels = self.panels
        values = self.values()
        for key, row in self.rows.items():
            own = row.field.panel
            shown = key in values and (not own or own == panels[self._panel])
            if shown != row.display:
                row.display = shown
                self._keep_in_view()
            if row.field.fits is not None and isinstance(row.input, Choice):
                row.input.narrow(values)
        if panels:
            wrong = {panels.index(row.field.panel) for row in self.rows.values() if row.error and row.field.panel}
            self._tabs.set(panels, self._panel, frozenset(wrong))

    def on_panel_tabs_chosen(self, event: PanelTabs.Chosen) -> None:
        """A panel's name was chosen."""
        event.stop()
        self.go_to_panel(event.index)

    def on_edited(self, event: Edited) -> None:
        """A value changed by hand."""
        event.stop()
        self.touched(event.key)

    def touched(self, key: str) -> None:
        """A value changed: check it, and show what depends on it."""
        self.rows[key].grown()
        self._check(key)
        self._check_together()
        self._show()
        self.post_message(self.Touched(key))

    def on_next_wanted(self, event: NextWanted) -> None:
        """Enter goes to the next field; from the last of a panel to the first of the next. The arrow up goes back."""
        event.stop()
        if event.back:
            self.go_back(event.key)
        else:
            self.go_on(event.key)

    def go_back(self, key: str) -> None:
        """Focus the field before this one, on this panel."""
        shown = [k for k, row in self.rows.items() if row.display]
        at = shown.index(key) if key in shown else 0
        if at:
            self.rows[shown[at - 1]].input.focus()

    def go_on(self, key: str) -> None:
        """Focus the field after this one."""
        shown = [k for k, row in self.rows.items() if row.display]
        at = shown.index(key) if key in shown else -1
        if at + 1 < len(shown):
            self.rows[shown[at + 1]].input.focus()
        elif self._panel + 1 < len(self.panels):
            self.next_panel(1)
        else:
            self.post_message(self.Completed())

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Show the rule of the field that got the focus, also when a button has taken it since."""
        for row in self.rows.values():
            if row in event.widget.ancestors_with_self:
                self._hinted = row.field.key
                self.post_message(self.HintChanged(row.field.hint))
                self._keep_in_view()
                return


def _label_width(fields: Sequence[FormField]) -> int:
    longest = max((cell_len(f.label) + (2 if f.required else 0) for f in fields), default=0)
    return min(longest, 32) + 2
