"""Two people edit one object: the second sees what the first changed, and decides, field by field."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from textual.app import ComposeResult
from textual.widget import Widget

from core.errors import Conflict
from core.i18n import N_, _
from screens.base import BaseDialog
from screens.context import Context
from screens.generic.fields import HIDDEN, said
from screens.spec import Field, Kind
from widgets.column_layout import TableColumn
from widgets.field_list import Fact, FieldList
from widgets.glyphs import glyphs
from widgets.pages import Want
from widgets.paragraph import Paragraph
from widgets.push_button import PushButton
from widgets.virtual_table import Cell, VirtualTable


@dataclass(frozen=True)
class Difference:
    """A field that somebody else changed: what it was, theirs, and mine (what it was, unless ``touched``)."""

    field: Field
    before: Any
    theirs: Any
    mine: Any
    touched: bool


@dataclass(frozen=True)
class Decision:
    """What becomes of the form: ``mine`` holds the values that stay in it; ``send`` it now, or look at it first."""

    mine: Mapping[str, Any]
    send: bool


def same(one: Any, other: Any) -> bool:
    """Whether two values of a field mean the same: nothing may be said in several ways."""
    return one == other or (_is_nothing(one) and _is_nothing(other))


def _is_nothing(value: Any) -> bool:
    return value is None or value is False or value in ("", [])


def differences(
    fields: Sequence[Field],
    before: Mapping[str, Any],
    theirs: Mapping[str, Any],
    mine: Mapping[str, Any],
    changed: Collection[str] | None = (),
) -> list[Difference]:
    """The fields about which one must decide.

    Not those that both changed to the same value. What a secret is nobody sees, so it is asked about where both may
    have changed it, and so is a table with secrets in its rows.

    Args:
        fields: of the form.
        before: the object as both began with it.
        theirs: the object as it is now.
        mine: what was changed in the form.
        changed: keys that the other one is known to have changed; None when nobody knows which.
    """
    found = []
    for field in fields:
        old, new = before.get(field.key), theirs.get(field.key)
        touched = field.key in mine
        own = mine.get(field.key, old)
        unseen = touched and _hides(field) and (changed is None or field.key in changed)
        if field.kind is Kind.SECRET:
            if unseen:
                found.append(Difference(field, HIDDEN, HIDDEN, own, touched))
        elif unseen or (not same(old, new) and not (touched and same(own, new))):
            found.append(Difference(field, old, new, own, touched))
    return found


def _hides(field: Field) -> bool:
    """Whether a field has something that is never shown: two values of it may look alike and differ."""
    return field.kind is Kind.SECRET or any(one.kind is Kind.SECRET for one in field.fields)


def changed_by_others(conflict: Conflict) -> set[str] | None:
    """The keys that a conflict says were changed; None when it does not know which."""
    what = conflict.parameters.get("what")
    pairs = what.get("fields") if isinstance(what, Mapping) else None
    return {str(key) for _operation, key in pairs} if pairs else None


def kept(found: Sequence[Difference], mine: Mapping[str, Any], chosen: Collection[str]) -> dict[str, Any]:
    """What stays in the form: all that only I changed, and of the rest what was chosen to be mine."""
    decided = {one.field.key for one in found}
    own = {key: value for key, value in mine.items() if key not in decided}
    return own | {one.field.key: one.mine for one in found if one.field.key in chosen}


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
        mine = said(one.field, one.mine) if one.touched else _(N_("as before"))
        return [
            Cell(_(one.field.label)),
            Cell(take, "error" if is_open else "warning" if is_mine else "success"),
            Cell(said(one.field, one.theirs), "muted" if is_mine else ""),
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
            pairs = ((_(N_("As it was")), one.before), (_("Theirs"), one.theirs), (_("Mine"), one.mine))
            self.query_one(FieldList).set([Fact(label, said(one.field, value)) for label, value in pairs])

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
