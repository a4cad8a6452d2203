"""Two people edit one object: the second sees what the first changed, and decides, field by field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from textual.app import ComposeResult
from textual.widget import Widget

from core.i18n import N_, _
from screens.base import BaseDialog
from screens.context import Context
from screens.generic.differences import Difference, kept
from widgets.column_layout import TableColumn
from widgets.field_list import Fact, FieldList
from widgets.glyphs import glyphs
from widgets.pages import Want
from widgets.paragraph import Paragraph
from widgets.push_button import PushButton
from widgets.virtual_table import Cell, VirtualTable


@dataclass(frozen=True)
class Decision:
    """What becomes of the form: ``mine`` holds the values that stay in it; ``send`` it now, or look at it first."""

    mine: Mapping[str, Any]
    send: bool


class ConflictDialog(BaseDialog[Decision]):
    """A line per field that somebody else changed; Space takes theirs or mine. Esc goes back and changes nothing."""

    BOX_CLASSES = "-wide"
    DEFAULT_CSS = """
    ConflictDialog Box { height: 22; max-height: 100%; }
    ConflictDialog VirtualTable { background: $panel; height: 1fr; min-height: 3; }
    ConflictDialog FieldList { background: $surface; height: 5; margin-top: 1; }
    """

    def __init__(self, context: Context, who: str, found: Sequence[Difference], mine: Mapping[str, Any]) -> None:
        """Make the dialog.

        Args:
            context: the context.
            who: who was faster; empty when nobody knows.
            found: what must be decided.
            mine: what was changed in the form.
        """
        super().__init__(context)
        self._who = who
        self._found = {one.field.key: one for one in found}
        self._mine = mine
        #: What is mine; and what both changed to different things, while nothing is said about it.
        self._chosen: set[str] = set()
        self._open = {one.field.key for one in found if one.touched}

    def title_text(self) -> str:
        """See :class:`widgets.dialog.Dialog`."""
        return _(N_("Changed meanwhile"))

    def body(self) -> ComposeResult:
        """Who, what, and the whole texts of the field under the cursor."""
        yield Paragraph(self._says(), id="says")
        yield VirtualTable(self._columns(), self._cells, str, id="fields")
        yield FieldList(id="whole")
        yield Paragraph(self._help(), id="help", classes="-muted")

    def _says(self) -> str:
        if self._who:
            return _(N_("{who} changed this while you had it open. Nothing of yours is saved yet.")).format(
                who=self._who
            )
        return _(N_("Somebody else changed this while you had it open. Nothing of yours is saved yet."))

    def _help(self) -> str:
        if self._open:
            return _(N_("Both of you changed what has a ?: Space takes mine, then theirs. Esc goes back to the form."))
        return _(N_("Space takes theirs or mine. Esc goes back to the form as it is."))

    def _columns(self) -> list[TableColumn]:
        return [
            TableColumn("field", _(N_("Field")), 20, sortable=False),
            TableColumn("take", _(N_("Taken")), 8, sortable=False, shrinks=False),
            TableColumn("theirs", _(N_("Theirs")), 24, sortable=False, flexible=True),
            TableColumn("mine", _(N_("Mine")), 24, sortable=False),
        ]

    def _cells(self, key: str) -> list[Cell]:
        one = self._found[key]
        is_mine, is_open = key in self._chosen, key in self._open
        take = "?" if is_open else f"{glyphs().chosen} {_('Mine') if is_mine else _('Theirs')}"
        mine = one.said(one.mine) if one.touched else _(N_("as before"))
        return [
            Cell(_(one.field.label)),
            Cell(take, "error" if is_open else "warning" if is_mine else "success"),
            Cell(one.said_theirs, "muted" if is_mine else ""),
            Cell(mine, "" if is_mine or is_open else "muted"),
        ]

    def buttons(self) -> list[Widget]:
        """Back first; nothing is sent but by the last."""
        return [
            PushButton(_(N_("Back to the form")), "back", id="back"),
            PushButton(_(N_("All theirs")), "theirs", id="theirs"),
            PushButton(_(N_("All mine")), "mine", id="mine"),
            PushButton(_("Save"), "save", id="save"),
        ]

    @property
    def table(self) -> VirtualTable:
        """The fields."""
        return self.query_one(VirtualTable)

    def on_mount(self) -> None:
        """Theirs are taken until one says otherwise, but not where something was typed: that is decided first."""
        keys = list(self._found)
        self.table.deliver(Want(0, 0, len(keys)), keys, len(keys))
        self.table.focus()

    def on_virtual_table_highlighted(self, event: VirtualTable.Highlighted) -> None:
        """The whole of what the line has room for the beginning of."""
        event.stop()
        self._show_whole()

    def _show_whole(self) -> None:
        one = self._found.get(self.table.cursor_row or "")
        if one is not None:
            before, mine = one.said(one.before), one.said(one.mine)
            pairs = ((_(N_("As it was")), before), (_("Theirs"), one.said_theirs), (_("Mine"), mine))
            self.query_one(FieldList).set([Fact(label, text) for label, text in pairs])

    # -- the hand

    def on_virtual_table_marked(self, event: VirtualTable.Marked) -> None:
        """Space marks: the marks are what is mine."""
        event.stop()
        marked = set(self.table.marked)
        self._open -= marked ^ self._chosen
        self._chosen = marked
        self._show_choice()

    def _show_choice(self) -> None:
        self.table.redraw()
        self.query_one("#help", Paragraph).set(self._help())

    def _choose(self, *, mine: bool) -> None:
        self._open.clear()
        self.table.mark(list(self._found) if mine else ())
        self._show_choice()

    def on_virtual_table_activated(self, event: VirtualTable.Activated) -> None:
        """Enter goes to the buttons; it decides nothing."""
        event.stop()
        self.query_one("#save").focus()

    def key_ctrl_s(self) -> None:
        """Save as chosen."""
        self._decide(send=True)

    def on_push_button_pressed(self, event: PushButton.Pressed) -> None:
        """Decide, or choose for all fields."""
        event.stop()
        if event.press in ("theirs", "mine"):
            self._choose(mine=event.press == "mine")
        else:
            self._decide(send=event.press == "save")

    def _decide(self, *, send: bool) -> None:
        if send and self._open:
            undecided = [one for key, one in self._found.items() if key in self._open]
            self.table.go_to(undecided[0].field.key)
            self.table.focus()
            text = _(N_("Not saved: say first whose it shall be, by Space: {fields}."))
            labels = ", ".join(_(one.field.label) for one in undecided)
            self.query_one("#help", Paragraph).set(text.format(fields=labels))
            return
        # Back in the form stands what was typed, as far as nothing else was said.
        self.dismiss(Decision(kept(list(self._found.values()), self._mine, self._chosen | self._open), send))

    def retranslate(self) -> None:
        """See :class:`screens.base.BaseDialog`."""
        super().retranslate()
        self.query_one("#says", Paragraph).set(self._says())
        self.query_one("#help", Paragraph).set(self._help())
        self.table.set_columns(self._columns())
        words = (("back", "Back to the form"), ("theirs", "All theirs"), ("mine", "All mine"), ("save", "Save"))
        for name, word in words:
            self.query_one(f"#{name}", PushButton).set_label(_(word))
        self._show_whole()
