"""The inputs of a form, one line each, all with the same few methods (:class:`FieldInput`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.cells import cell_len
from textual import events
from textual.geometry import Offset, Size
from textual.message import Message
from textual.reactive import Reactive
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input

from widgets.form_field import BadValue, FormField, InputKind
from widgets.glyphs import glyphs
from widgets.text import fit, one_line, strip_of


@dataclass
class Edited(Message):
    """The value of an input was changed by hand."""

    key: str


@dataclass
class PickWanted(Message):
    """Somebody wants to pick the value of an input from a list."""

    key: str


@dataclass
class NextWanted(Message):
    """Go on to the next input, or back to the one before."""

    key: str
    back: bool = False


@dataclass
class LineReached(Message):
    """In an input of many lines one went to another, which may be out of sight."""

    key: str


#: Keys that go to another input.
NEXT = ("enter", "down", "up")


class FieldInput(Widget):
    """What a form asks of every input. ``lines`` is how many lines it takes."""

    field: FormField
    lines: int = 1
    #: The line that one is at, from 0.
    at_line: int = 0

    def get(self) -> Any:
        """The value; None when it is left empty.

        Raises:
            BadValue: what was typed is no value.
        """
        raise NotImplementedError

    def put(self, value: Any) -> None:
        """Show another value; not an edit."""
        raise NotImplementedError

    def state(self) -> Any:
        """What was typed, right or wrong, to see whether it was changed."""
        raise NotImplementedError

    def relabel(self, field: FormField) -> None:
        """Take the field's texts in another language; what was typed stays."""
        self.field = field
        self.refresh()


class LineInput(Input):
    """A line of text, without a frame. Its size is given: typing paints it anew and lays nothing out."""

    #: See :meth:`widgets.keys.OrderedKeys._typed_together`.
    takes_text = True
    virtual_size: Reactive[Size] = Reactive(Size(0, 0), layout=False)

    DEFAULT_CSS = """
    LineInput, LineInput:ansi {
        height: 1;
        border: none;
        padding: 0 1;
        background: $surface;
        color: $foreground;
    }
    LineInput.-textual-compact { padding: 0 1; }
    LineInput:focus { border: none; background: $boost; background-tint: $primary 15%; }
    LineInput:ansi { text-style: underline; }
    LineInput:ansi:focus { text-style: bold; }
    """

    def __init__(
        self, value: str = "", *, placeholder: str = "", password: bool = False, id: str | None = None
    ) -> None:
        """Make a line with a text in it."""
        super().__init__(value, placeholder=placeholder, password=password, compact=True, id=id, select_on_focus=True)

    @property
    def cursor_screen_offset(self) -> Offset:
        """The cell that the cursor is painted in: Textual's is one beyond at the end, and of a secret as if seen."""
        at = self.cursor_position if self.password else self._position_to_cell(self.cursor_position)
        return Offset(self.content_region.x + at - self.scroll_offset.x, self.content_region.y)

    def action_copy(self) -> None:
        """What is typed in secret does not go to the clipboard, where it can be read."""
        if not self.password:
            super().action_copy()

    def action_cut(self) -> None:
        """See :meth:`action_copy`."""
        if not self.password:
            super().action_cut()


class TextInput(LineInput, FieldInput):
    """A value typed as text: names, numbers, sizes, and references, which can be picked from a list as well."""

    def __init__(self, field: FormField) -> None:
        """Make the input of a field."""
        super().__init__(field.write(field.value), password=field.kind is InputKind.SECRET)
        self.field = field

    def get(self) -> Any:
        """See :meth:`FieldInput.get`."""
        text = self.value if self.field.kind is InputKind.SECRET else self.value.strip()
        return self.field.read(text) if text else None

    def put(self, value: Any) -> None:
        """See :meth:`FieldInput.put`."""
        with self.prevent(Input.Changed):
            self.value = self.field.write(value)

    def state(self) -> Any:
        """See :meth:`FieldInput.state`."""
        return self.value

    @property
    def _picks(self) -> bool:
        return self.field.kind in (InputKind.PICK, InputKind.PICKS)

    async def _on_key(self, event: events.Key) -> None:
        if self._picks and event.key in ("f4", "down"):
            self.post_message(PickWanted(self.field.key))
        elif event.key in NEXT:
            self.post_message(NextWanted(self.field.key, back=event.key == "up"))
        else:
            return
        event.stop()
        event.prevent_default()

    def _on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.is_mounted:
            self.post_message(Edited(self.field.key))


class _OneLine(FieldInput, can_focus=True):
    """An input that paints its own line."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"input--sign", "input--rest"}
    DEFAULT_CSS = """
    _OneLine {
        height: 1;
        background: $surface;
        color: $foreground;
        &:focus { background: $boost; background-tint: $primary 15%; text-style: bold; }
        .input--sign { color: $text-accent; text-style: bold; }
        .input--rest { color: $text-muted; }
    }
    """

    def __init__(self, field: FormField) -> None:
        """Make the input of a field."""
        super().__init__()
        self.field = field
        self._value: Any = field.value

    def get(self) -> Any:
        """See :meth:`FieldInput.get`."""
        return self._value

    def put(self, value: Any) -> None:
        """See :meth:`FieldInput.put`."""
        self._value = value
        self.refresh()

    def state(self) -> Any:
        """See :meth:`FieldInput.state`."""
        return self._value

    def _change(self, value: Any) -> None:
        if value != self._value:
            self._value = value
            self.refresh()
            self.post_message(Edited(self.field.key))


class Toggle(_OneLine):
    """Yes or no; Space changes it."""

    def render_line(self, y: int) -> Strip:
        """The line: a box and the word."""
        width, base = self.size.width, self.rich_style
        if y:
            return Strip.blank(width, base)
        texts = dict(self.field.choices)
        sign = glyphs().chosen if self._value else " "
        box = f" [{sign}]"
        return strip_of(
            [(box, self.get_component_rich_style("input--sign")), (f" {texts.get(bool(self._value), '')}", base)],
            width,
            base,
        )

    async def _on_key(self, event: events.Key) -> None:
        if event.key in ("space", "left", "right"):
            self._change(not self._value)
        elif event.key in NEXT:
            self.post_message(NextWanted(self.field.key, back=event.key == "up"))
        else:
            return
        event.stop()
        event.prevent_default()

    def on_click(self, event: events.Click) -> None:
        """A click does what the key does."""
        event.stop()
        self.focus()
        self._change(not self._value)


class Choice(_OneLine):
    """One of a few words; left and right change it, a letter goes to the next word that begins with it."""

    def __init__(self, field: FormField) -> None:
        """Make the input of a field."""
        super().__init__(field)
        self._beside: Mapping[str, Any] | None = None

    @property
    def _offered(self) -> list[tuple[Any, str]]:
        """The words that there are to choose from now."""
        fits, beside = self.field.fits, self._beside
        if fits is None or beside is None:
            return list(self.field.choices)
        return [(value, text) for value, text in self.field.choices if value is None or fits(value, beside)]

    def narrow(self, values: Mapping[str, Any]) -> None:
        """Offer what makes sense beside other values; what does not any more is given up for the first that does."""
        self._beside = values
        offered = [value for value, _text in self._offered]
        if offered and self._value not in offered:
            self._value = offered[0]
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """The line: the chosen word between two signs, the others after it as far as there is room."""
        width, base = self.size.width, self.rich_style
        if y:
            return Strip.blank(width, base)
        sign = self.get_component_rich_style("input--sign")
        rest = self.get_component_rich_style("input--rest")
        texts = dict(self._offered)
        chosen = one_line(texts.get(self._value, "" if self._value is None else str(self._value)))
        chosen_width = min(max((cell_len(one_line(t)) for t in texts.values()), default=0), max(4, width - 5))
        pieces = [(f" {glyphs().previous} ", sign), (fit(chosen, chosen_width), base), (f" {glyphs().next}", sign)]
        room = width - chosen_width - 5
        others = "  " + " ".join(one_line(t) for v, t in self._offered if v != self._value)
        if self.has_focus and 0 < cell_len(others) <= room:
            pieces.append((others, rest))
        return strip_of(pieces, width, base)

    def _step(self, by: int) -> None:
        values = [value for value, _text in self._offered]
        if not values:
            return
        at = values.index(self._value) if self._value in values else -1 if by > 0 else 0
        self._change(values[(at + by) % len(values)])

    async def _on_key(self, event: events.Key) -> None:
        if event.key in ("right", "space", "left"):
            self._step(-1 if event.key == "left" else 1)
        elif event.key in NEXT:
            self.post_message(NextWanted(self.field.key, back=event.key == "up"))
        elif event.is_printable and event.character:
            self._jump(event.character.lower())
        else:
            return
        event.stop()
        event.prevent_default()

    def _jump(self, letter: str) -> None:
        values = [value for value, _text in self._offered]
        at = values.index(self._value) if self._value in values else -1
        for value, text in (*self._offered[at + 1 :], *self._offered[: at + 1]):
            if text.lower().startswith(letter):
                self._change(value)
                return

    def on_click(self, event: events.Click) -> None:
        """A click does what the key does."""
        event.stop()
        self.focus()
        self._step(-1 if event.x < 3 else 1)


class SecretTwice(FieldInput):
    """A new secret, typed twice: one wrong letter would shut its owner out."""

    lines = 2
    DEFAULT_CSS = """
    SecretTwice { height: 2; layout: vertical; }
    """

    def __init__(self, field: FormField) -> None:
        """Make the two inputs of a field."""
        super().__init__()
        self.field = field
        self.first = LineInput(password=True)
        self.second = LineInput(password=True, placeholder=field.again)

    def compose(self) -> Any:
        """The two lines."""
        yield self.first
        yield self.second

    def focus(self, scroll_visible: bool = True, from_app_focus: bool = False) -> SecretTwice:
        """Focus the line that is to be typed."""
        line = self.first if not self.first.value or self.first.value == self.second.value else self.second
        line.focus(scroll_visible)
        return self

    def get(self) -> Any:
        """See :meth:`FieldInput.get`."""
        if not self.first.value and not self.second.value:
            return None
        value = self.field.read(self.first.value)
        if self.first.value != self.second.value:
            raise BadValue(self.field.differ)
        return value

    def put(self, value: Any) -> None:
        """Secrets are never shown: both lines become empty."""
        self.first.value = self.second.value = ""

    def state(self) -> Any:
        """See :meth:`FieldInput.state`."""
        return (self.first.value, self.second.value)

    def relabel(self, field: FormField) -> None:
        """See :meth:`FieldInput.relabel`."""
        super().relabel(field)
        self.second.placeholder = field.again

    def _on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        # While the second is still on its way, that it differs is no news.
        if (
            event.input is self.first
            or not self.first.value.startswith(self.second.value)
            or self.first.value == self.second.value
        ):
            self.post_message(Edited(self.field.key))

    def _on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.input is self.first:
            self.second.focus()
        else:
            self.post_message(NextWanted(self.field.key))
