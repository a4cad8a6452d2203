"""What all dialogs look like: a box over what was there, with a title, a body and a line of buttons."""

from __future__ import annotations

from typing import TypeVar

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widget import Widget

from widgets.glyphs import glyphs
from widgets.text import one_line

Result = TypeVar("Result")


class Box(Vertical):
    """The box of a dialog."""


class Dialog(ModalScreen[Result]):
    """A box in the middle. Subclasses give :meth:`title_text`, :meth:`body` and :meth:`buttons`."""

    DEFAULT_CSS = """
    Dialog {
        align: center middle;
        background: $background 60%;
    }
    Dialog Box {
        width: 76;
        max-width: 100%;
        height: auto;
        max-height: 100%;
        padding: 0 1;
        background: $panel;
        border: round $primary;
        border-title-color: $text-primary;
        border-title-style: bold;
    }
    Dialog Box.-plain { border: ascii $primary; }
    Dialog Box.-danger { border: round $error; border-title-color: $text-error; }
    Dialog Box.-danger.-plain { border: ascii $error; }
    Dialog Box.-wide { width: 100%; max-width: 120; }
    Dialog Box.-full { width: 100%; height: 100%; max-width: 120; }
    Dialog .buttons { height: 1; width: 100%; align-horizontal: right; margin-top: 1; }
    """
    #: Further classes of the box: ``-danger``, ``-wide``, ``-full``.
    BOX_CLASSES = ""

    def compose(self) -> ComposeResult:
        """The box and what is in it."""
        box = Box(id="box", classes=self.BOX_CLASSES)
        box.set_class(not glyphs().braille, "-plain")
        with box:
            yield from self.body()
            buttons = list(self.buttons())
            if buttons:
                with Horizontal(classes="buttons"):
                    yield from buttons

    def on_mount(self) -> None:
        """Put the title into the frame."""
        self.retitle()

    def retitle(self) -> None:
        """Write the title into the frame, in the language now set; literally."""
        from textual.content import Content

        self.query_one("#box", Box).border_title = Content(one_line(self.title_text()))

    def title_text(self) -> str:
        """What stands in the frame, translated."""
        return ""

    def body(self) -> ComposeResult:
        """What is asked or shown."""
        yield from ()

    def buttons(self) -> list[Widget]:
        """The buttons, the harmless one first."""
        return []

    def needed(self) -> list[Widget]:
        """What one cannot do without, beside what has the focus: nothing that comes and goes may lie over it."""
        return list(self.query(".buttons"))
