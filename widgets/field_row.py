"""One field of a form: its label, its input, and what is wrong with what was typed; and which input each kind has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from rich.cells import cell_len
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from widgets.form_field import FormField, InputKind
from widgets.inputs import Choice, FieldInput, SecretTwice, TextInput, Toggle
from widgets.text import fit, one_line, strip_of, wrap


def _lines(field: FormField) -> FieldInput:
    from widgets.text_input import LinesInput

    return LinesInput(field, field.lines)


def _rows(field: FormField) -> FieldInput:
    from widgets.rows_input import RowsInput

    return RowsInput(field)


def _members(field: FormField) -> FieldInput:
    from widgets.members_input import MembersInput

    return MembersInput(field)


#: The one map from the kind of a field to its input.
MAKERS: Mapping[InputKind, Callable[[FormField], FieldInput]] = {
    InputKind.LINE: TextInput,
    InputKind.LINES: _lines,
    InputKind.SECRET: lambda field: SecretTwice(field) if field.again else TextInput(field),
    InputKind.TOGGLE: Toggle,
    InputKind.CHOICE: Choice,
    InputKind.PICK: TextInput,
    InputKind.PICKS: _members,
    InputKind.ROWS: _rows,
}


class FieldRow(Widget):
    """The line of a field: its label and unit, painted by the row itself, around the input; an error below it."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "field--label",
        "field--focus",
        "field--unit",
        "field--error",
        "field--caution",
        "field--needed",
    }
    DEFAULT_CSS = """
    FieldRow {
        layout: vertical;
        height: 1;
        .field--label { color: $foreground; }
        .field--focus { color: $text-accent; text-style: bold; }
        .field--unit { color: $text-muted; }
        .field--error { color: $text-error; text-style: bold; }
        .field--caution { color: $text-warning; }
        .field--needed { color: $text-error; text-style: bold; }
    }
    """

    class Resized(Message):
        """It is higher or lower than it was: what is below it has moved."""

    def __init__(self, field: FormField, label_width: int) -> None:
        """Make the row of a field; ``label_width`` in cells."""
        super().__init__()
        self.field = field
        self.input = MAKERS[field.kind](field)
        self.error = ""
        self.caution = ""
        self._label_width = label_width
        self._error_lines: list[str] = []

    def compose(self) -> Any:
        """The input."""
        yield self.input

    def on_mount(self) -> None:
        """Give the input its place."""
        self._place()

    def on_resize(self) -> None:
        """Wrap what is said below anew."""
        if self.error or self.caution:
            self._place()
        self.post_message(self.Resized())

    def _place(self) -> None:
        unit = cell_len(self.field.unit) + 1 if self.field.unit else 0
        self.input.styles.margin = (0, unit, 0, self._label_width)
        room = max(10, (self.size.width or 60) - self._label_width - 1)
        said = self.error or self.caution
        self._error_lines = wrap(said, room) if said else []
        self.styles.height = self.input.lines + len(self._error_lines)
        self.refresh(layout=True)

    def relabel(self, field: FormField, label_width: int) -> None:
        """Take the field's texts in another language."""
        self.field = field
        self._label_width = label_width
        self.input.relabel(field)
        self._place()

    def set_error(self, text: str) -> None:
        """Say under the input what is wrong; empty for nothing."""
        if text != self.error:
            self.error = text
            self._place()

    def set_caution(self, text: str) -> None:
        """Say under the input what is to be thought of, as long as nothing is wrong; empty for nothing."""
        if text != self.caution:
            self.caution = text
            self._place()

    @property
    def said(self) -> int:
        """Lines below the input."""
        return len(self._error_lines)

    def grown(self) -> None:
        """The input has another height."""
        self._place()

    def render_line(self, y: int) -> Strip:
        """The label and the unit on the first line, the error below the input."""
        width, base = self.size.width, self.rich_style
        style = self.get_component_rich_style
        if y == 0:
            label = "field--focus" if self.has_focus_within else "field--label"
            needed = (" *" if self.field.required else "", style("field--needed"))
            text = one_line(self.field.label)
            room = self._label_width - 2 - len(needed[0])
            if cell_len(text) > room:
                text = fit(text, room)
            blank = max(0, self._label_width - cell_len(text) - len(needed[0]))
            rest = max(0, width - self._label_width - cell_len(self.field.unit))
            pieces = [
                (text, style(label)),
                needed,
                (" " * (blank + rest), base),
                (self.field.unit, style("field--unit")),
            ]
            return strip_of(pieces, width, base)
        number = y - self.input.lines
        if 0 <= number < len(self._error_lines):
            role = style("field--error" if self.error else "field--caution")
            return strip_of([(" " * (self._label_width + 1), base), (self._error_lines[number], role)], width, base)
        return Strip.blank(width, base)

    def on_descendant_focus(self) -> None:
        """The label of the field one is at stands out."""
        self.refresh()

    def on_descendant_blur(self) -> None:
        """The label stands back."""
        self.refresh()
