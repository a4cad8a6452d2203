"""A list inside a form: rows that are added, changed, moved and taken away, each in a form of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from textual import events
from textual.message import Message
from textual.strip import Strip

from widgets.form_field import FormField
from widgets.glyphs import glyphs
from widgets.inputs import Edited, FieldInput, LineReached, NextWanted
from widgets.text import fit, strip_of


@dataclass
class RowWanted(Message):
    """A row is to be typed: ``index`` of an old one, or -1 for a new one."""

    key: str
    index: int


class RowsInput(FieldInput, can_focus=True):
    """Rows, and a last line that adds one. Enter changes, ``a`` adds, ``d`` or Delete takes away, ``K J`` move."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"rows--cursor", "rows--add"}
    DEFAULT_CSS = """
    RowsInput {
        background: $surface;
        color: $foreground;
        .rows--cursor { background: $block-cursor-background; color: $block-cursor-foreground; }
        .rows--add { color: $text-accent; }
    }
    """

    def __init__(self, field: FormField) -> None:
        """Make the list of a field; its value is a list of objects."""
        super().__init__()
        self.field = field
        self._rows: list[Any] = list(field.value or ())
        self._at = 0
        self.moves = True
        """Whether their order means something."""
        self._fit()

    def _fit(self) -> None:
        self.lines = len(self._rows) + 1
        self.styles.height = self.lines

    @property
    def at_line(self) -> int:  # type: ignore[override]
        """See :class:`FieldInput`."""
        return self._at

    @property
    def rows(self) -> list[Mapping[str, Any]]:
        """The rows as they are now."""
        return list(self._rows)

    def get(self) -> Any:
        """See :meth:`FieldInput.get`."""
        return [dict(row) for row in self._rows]

    def put(self, value: Any) -> None:
        """See :meth:`FieldInput.put`."""
        self._rows = list(value or ())
        self._fit()
        self.refresh(layout=True)

    def state(self) -> Any:
        """See :meth:`FieldInput.state`."""
        return [dict(row) for row in self._rows]

    def set_row(self, index: int, row: Mapping[str, Any]) -> None:
        """Take a row that was typed; ``index`` as in :class:`RowWanted`."""
        if 0 <= index < len(self._rows):
            self._rows[index] = row
        else:
            self._rows.append(row)
            self._at = len(self._rows)
        self._changed()

    def want(self, index: int) -> None:
        """Say that a row is to be typed; ``index`` as in :class:`RowWanted`."""
        self.post_message(RowWanted(self.field.key, index))

    def _changed(self) -> None:
        self._at = max(0, min(self._at, len(self._rows)))
        self._fit()
        self.refresh(layout=True)
        self.post_message(Edited(self.field.key))

    def render_line(self, y: int) -> Strip:
        """A row's summary, or the line that adds one."""
        width, style = self.size.width, self.rich_style
        if y < len(self._rows):
            number = f"{y + 1} " if self.moves else ""
            text = f" {number}{self.field.summary(self._rows[y])}"
        elif y == len(self._rows):
            text, style = f" + {self.field.add_row}", self.get_component_rich_style("rows--add")
        else:
            return Strip.blank(width, style)
        if self.has_focus and y == self._at:
            style = self.get_component_rich_style("rows--cursor")
            text = glyphs().cursor + text[1:]
        return strip_of([(fit(text, width), style)], width, style)

    async def _on_key(self, event: events.Key) -> None:
        key = event.character if event.is_printable and event.character else event.key
        at_row = self._at < len(self._rows)
        if key in ("down", "up", "j", "k"):
            to = self._at + (1 if key in ("down", "j") else -1)
            if not 0 <= to <= len(self._rows):
                self.post_message(NextWanted(self.field.key, back=to < 0))
            else:
                self._at = to
                self.refresh()
                self.post_message(LineReached(self.field.key))
        elif key in ("enter", "e"):
            self.want(self._at if at_row else -1)
        elif key in ("a", "f4"):
            self.want(-1)
        elif key in ("d", "delete") and at_row:
            del self._rows[self._at]
            self._changed()
        elif key in ("J", "K") and at_row and self.moves:
            to = self._at + (1 if key == "J" else -1)
            if 0 <= to < len(self._rows):
                self._rows[self._at], self._rows[to] = self._rows[to], self._rows[self._at]
                self._at = to
                self._changed()
        else:
            return
        event.stop()
        event.prevent_default()

    def on_click(self, event: events.Click) -> None:
        """A click does what the key does."""
        event.stop()
        if event.y <= len(self._rows):
            again = self._at == event.y
            self._at = event.y
            self.refresh()
            if again or event.y == len(self._rows):
                self.want(self._at if self._at < len(self._rows) else -1)
