"""Several lines of text. Apart from the other inputs because the editor is slow to import."""

from __future__ import annotations

from typing import Any

from textual.widgets import TextArea

from widgets.form_field import FormField
from widgets.inputs import Edited, FieldInput


class LinesInput(TextArea, FieldInput):
    """Several lines; Tab leaves it."""

    lines = 3
    DEFAULT_CSS = """
    LinesInput, LinesInput:focus {
        height: 3;
        border: none;
        padding: 0 1;
        background: $surface;
        &:focus { background: $boost; background-tint: $primary 15%; }
    }
    """

    def __init__(self, field: FormField, lines: int = 3) -> None:
        """Make the editor of a field, ``lines`` lines high."""
        super().__init__(
            field.write(field.value), compact=True, tab_behavior="focus", highlight_cursor_line=False, soft_wrap=True
        )
        self.field = field
        self.lines = lines
        self.styles.height = lines

    def get(self) -> Any:
        """See :meth:`FieldInput.get`."""
        text = self.text.rstrip("\n")
        return self.field.read(text) if text.strip() else None

    def put(self, value: Any) -> None:
        """See :meth:`FieldInput.put`."""
        with self.prevent(TextArea.Changed):
            self.load_text(self.field.write(value))

    def state(self) -> Any:
        """See :meth:`FieldInput.state`."""
        return self.text

    def _on_text_area_changed(self, event: TextArea.Changed) -> None:
        event.stop()
        self.post_message(Edited(self.field.key))
