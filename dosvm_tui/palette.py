"""The palette: any action, screen or object by a few letters (Ctrl+P), or only where to go (:)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.widgets import Input

from core.errors import DosvmError
from core.i18n import N_, _
from screens import registry
from screens.base import BaseDialog, BaseScreen
from screens.context import Context
from screens.generic.actions import ActionRun
from screens.generic.cells import label_of
from screens.generic.offers import actions_of, takes_row, why_not
from screens.generic.resource_detail import ResourceDetail
from screens.generic.resource_list import ResourceList
from screens.spec import Action, ResourceSpec, Row, Target
from widgets.column_layout import TableColumn
from widgets.inputs import LineInput
from widgets.pages import Want
from widgets.paragraph import Paragraph
from widgets.virtual_table import Cell, VirtualTable

#: Seconds after the last key before objects are searched for.
QUIET = 0.15
#: So much worse does an action fit that makes no sense now.
_SENSELESS = 500
#: Objects of one resource that are offered.
OBJECTS = 6


@dataclass(frozen=True)
class Entry:
    """Something the palette offers: its words, its kind, what it does.

    ``also`` finds it too, ``at`` is its object, ``why`` says why it makes no sense now.
    """

    key: str
    text: str
    kind: str
    run: Callable[[], None]
    also: str = ""
    at: tuple[ResourceSpec, Row] | None = None
    why: str = ""


def score(words: str, text: str) -> int | None:
    """How well letters fit a text: less is better; None when they are not in it in this order."""
    words, text = words.lower().replace(" ", ""), text.lower()
    if not words:
        return 0
    at = text.find(words)
    if at >= 0:
        # Found as it is: best at the beginning of the text or of a word.
        return at if at == 0 or not text[at - 1].isalnum() else 50 + at
    total, place = 100, -1
    for letter in words:
        found = text.find(letter, place + 1)
        if found < 0:
            return None
        total += found - place - 1
        place = found
    return total


def _also(words: str, entry: Entry) -> int | None:
    """What an entry is called on the command line finds it as well, after what fits its words."""
    points = score(words, entry.also) if entry.also else None
    return None if points is None or points >= 100 else points + 100


class Palette(BaseDialog[None]):
    """A line to type in and what fits it."""

    DEFAULT_CSS = """
    Palette { align: center top; }
    Palette Box { margin-top: 2; height: 18; max-height: 90%; }
    Palette VirtualTable { background: $panel; }
    """

    def __init__(
        self,
        context: Context,
        screen: BaseScreen,
        commands: Callable[[], Sequence[tuple[str, str, Callable[[], None]]]],
        *,
        goto: bool,
    ) -> None:
        """Make a palette.

        Args:
            context: the context.
            screen: the screen it is opened over.
            commands: gives the application's own: key, text, what it does.
            goto: only where to go, no actions.
        """
        super().__init__(context)
        self._over = screen
        self._commands = commands
        self._goto = goto
        self._typed = ""
        self._objects: Sequence[tuple[ResourceSpec, Row]] = ()
        self._generation = 0
        self._inside: tuple[ResourceSpec, Row] | None = None

    def title_text(self) -> str:
        """See :class:`widgets.dialog.Dialog`."""
        if self._inside is not None:
            return label_of(*self._inside)
        return _(N_("Go to")) if self._goto else _(N_("Find an action, a screen or an object"))

    def body(self) -> ComposeResult:
        """The line and the list."""
        yield LineInput(id="line")
        columns = [
            TableColumn("text", "", 60, sortable=False, flexible=True),
            TableColumn("kind", "", 20, sortable=False),
        ]
        yield VirtualTable(columns, _cells, lambda e: e.key, id="found")
        yield Paragraph("", id="help", classes="-muted")

    def on_mount(self) -> None:
        """Offer everything."""
        self.query_one(LineInput).focus()
        self._show()

    # -- what there is

    def _screens(self) -> list[Entry]:
        desk, entries = self.context.desk, []
        for section in registry.menu(self.context.role):
            for name in section.resources:
                spec = registry.resource(name)
                text = f"{_(spec.title)}  ({name})"
                entries.append(
                    Entry(f"go:{name}", text, _(N_("list")), lambda name=name: desk.open_resource(name, root=True))  # type: ignore[misc]
                )
        return entries

    def _actions(self) -> list[Entry]:
        """Actions on the row under the cursor first, then those that need no row, of every resource."""
        entries: list[Entry] = []
        spec, row = self._present()
        if spec is not None and row is not None:
            entries += self._actions_on(spec, row)
        names = [name for section in registry.menu(self.context.role) for name in section.resources]
        for name in dict.fromkeys([*names, "cloud"]):
            other = registry.resource(name)
            entries += [
                self._action(other, action, {} if other.single else None)
                for action in actions_of(other, self.context.role)
                if not takes_row(action) or other.single
            ]
        return entries

    def _picks(self) -> list[Entry]:
        """Actions on objects of any list, which are picked first."""
        names = [name for section in registry.menu(self.context.role) for name in section.resources]
        return [
            self._picked(spec, action)
            for spec in (registry.resource(name) for name in names)
            for action in actions_of(spec, self.context.role)
            if takes_row(action) and not spec.single and spec.lists_by
        ]

    def _actions_on(self, spec: ResourceSpec, row: Row) -> list[Entry]:
        """What makes sense for it first; the rest stands dimmed behind that."""
        entries = [
            self._action(spec, action, row) for action in actions_of(spec, self.context.role) if takes_row(action)
        ]
        return sorted(entries, key=lambda entry: bool(entry.why))

    def _meant(self, action: Action, row: Row) -> list[Row]:
        """The rows an action on a row is for: as by its key, those that are marked, when the cursor is on it."""
        over = self._over
        if isinstance(over, ResourceList) and over.table.cursor_row is row:
            return over.row_actions.meant(action)
        return [row]

    def _picked(self, spec: ResourceSpec, action: Action) -> Entry:
        """An action whose object is picked from its list first."""
        context, over = self.context, self._over

        def run() -> None:
            from screens.generic.picker import Picker

            def picked(rows: Sequence[Row]) -> None:
                ActionRun(context, spec, action, rows, over.ask, over.look_again).start()

            context.desk.show(Picker(context, spec, many=action.target is Target.ROWS, take=picked))

        text = f"{_(action.label)}: {_(spec.singular)} ..."
        return Entry(f"pick:{spec.name}:{action.verb}", text, _("action"), run, f"{action.verb} {spec.name}")

    def _present(self) -> tuple[ResourceSpec | None, Row | None]:
        if not self._over.is_framed:
            # Opened before the screen below was made.
            return None, None
        if isinstance(self._over, ResourceList):
            return self._over.spec, self._over.table.cursor_row
        if isinstance(self._over, ResourceDetail):
            return self._over.spec, self._over.row
        return None, None

    def _action(self, spec: ResourceSpec, action: Action, row: Row | None) -> Entry:
        name = label_of(spec, row) if row else _(spec.singular)
        over = self._over
        rows = self._meant(action, row) if row is not None else []
        here = over if isinstance(over, ResourceList) and row and over.table.cursor_row is row else None
        if len(rows) > 1:
            name = _(N_("{count} marked")).format(count=len(rows))

        def run() -> None:
            if here is not None:
                here.row_actions.start(action, rows)
            else:
                ActionRun(self.context, spec, action, rows, over.ask, over.look_again).start()

        key = f"do:{spec.name}:{action.verb}:{label_of(spec, row) if row else ''}"
        why = why_not(action, rows)
        text = f"{_(action.label)}: {name}"
        return Entry(key, text, _(N_("action")), run, f"{action.verb} {spec.name}", why=_(why) if why else "")

    def _own(self) -> list[Entry]:
        return [Entry(f"own:{key}", text, _(N_("console")), run) for key, text, run in self._commands()]

    def _everything(self) -> list[Entry]:
        if self._inside is not None:
            spec, row = self._inside
            opens = Entry("open", _(N_("Open")), _(spec.singular), lambda: self.context.desk.open_row(spec, row))
            return [opens, *self._actions_on(spec, row)]
        if self._goto:
            return [*self._screens(), *[e for e in self._actions() if e.key.startswith("do:cloud")]]
        return [*self._actions(), *self._screens(), *self._own(), *self._picks()]

    def _show(self, *, to_top: bool = True) -> None:
        found = []
        objects = map(self._object, self._objects) if self._inside is None else ()
        for number, entry in enumerate([*self._everything(), *objects]):
            points = min(
                (p for p in (score(self._typed, entry.text), _also(self._typed, entry)) if p is not None), default=None
            )
            if points is not None:
                # What makes no sense is found, after what does.
                points += _SENSELESS if entry.why and self._typed else 0
                found.append((points, number, entry))
        found.sort(key=lambda item: item[:2])
        entries = [entry for _points, _number, entry in found]
        table = self.query_one(VirtualTable)
        self._generation += 1
        table.restart(to_top=to_top)
        table.set_placeholder(_(N_("Nothing found.")))
        table.deliver(Want(self._generation, 0, len(entries)), entries, len(entries))

    def on_virtual_table_highlighted(self, event: VirtualTable.Highlighted) -> None:
        """Say what Tab does for an object, and why an action makes no sense."""
        event.stop()
        can = event.row is not None and event.row.at is not None
        says = _(N_("Enter opens it, Tab shows what can be done with it.")) if can else ""
        if event.row is not None and event.row.why:
            says = event.row.why
        self.query_one("#help", Paragraph).set(says)

    def _go_inside(self, entry: Entry | None) -> None:
        """Show what can be done with an object."""
        if entry is not None and entry.at is not None:
            self._inside = entry.at
            self.retitle()
            line = self.query_one(LineInput)
            line.focus()
            line.value = self._typed = ""
            self._show()

    # -- objects

    def _search(self) -> None:
        typed = self._typed
        if self._inside is not None:
            return
        # One letter fits everything; one ideograph may be a whole name.
        if cell_len(typed) < 2:
            self._objects = ()
            self._show()
            return
        specs = [registry.resource(name) for section in registry.menu(self.context.role) for name in section.resources]
        searchable = [spec for spec in specs if spec.lists_by and not spec.single and spec.name not in _NOT_OBJECTS]

        def work() -> list[tuple[ResourceSpec, Mapping[str, Any]]]:
            found: list[tuple[ResourceSpec, Mapping[str, Any]]] = []
            for spec in searchable:
                try:
                    answer = self.context.backend.call(spec.lists_by, search=typed, offset=0, limit=OBJECTS)
                except DosvmError:
                    # One list that refuses does not hide what the others found.
                    continue
                found += [(spec, row) for row in answer["rows"]]
            return found

        self.ask(work, self._found, key="objects")

    def _found(self, found: Sequence[tuple[ResourceSpec, Row]]) -> None:
        self._objects = found
        self._show(to_top=False)

    def _object(self, found: tuple[ResourceSpec, Row]) -> Entry:
        spec, row = found
        opens = lambda: self.context.desk.open_row(spec, row)  # noqa: E731
        return Entry(f"at:{spec.name}:{row.get(spec.reference)}", _named(spec, row), _(spec.singular), opens, at=found)

    # -- the hand

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show what fits; search for objects when the typing pauses."""
        event.stop()
        self._typed = event.value.strip()
        self._show()
        typed = self._typed
        self.set_timer(QUIET, lambda: self._search() if typed == self._typed else None)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter takes the one under the cursor."""
        event.stop()
        entry = self.query_one(VirtualTable).cursor_row
        if entry is not None:
            self._take(entry)

    def on_virtual_table_activated(self, event: VirtualTable.Activated) -> None:
        """Take it."""
        event.stop()
        self._take(event.row)

    def _take(self, entry: Entry) -> None:
        self.dismiss(None)
        self.app.call_later(entry.run)

    def retranslate(self) -> None:
        """See :class:`screens.base.BaseDialog`."""
        super().retranslate()
        self._show(to_top=False)

    def leave(self) -> None:
        """Out of an object, or close."""
        if self._inside is None:
            super().leave()
            return
        self._inside = None
        self.retitle()
        self._show()

    async def on_event(self, event: events.Event) -> None:
        """Arrows move in the list while one types in the line; Tab goes into an object, Esc out of it."""
        table = self.query(VirtualTable)
        if isinstance(event, events.Key) and event.key == "tab" and table:
            event.stop()
            self._go_inside(table.first().cursor_row)
            return
        if (
            isinstance(event, events.Key)
            and event.key in ("down", "up", "pagedown", "pageup")
            and table
            and self.query_one(LineInput).has_focus
        ):
            event.stop()
            table.first().post_message(events.Key(event.key, None))
            return
        await super().on_event(event)


def _named(spec: ResourceSpec, row: Row) -> str:
    """What an object is called, with its title where it has one: people know it by either."""
    name, title = label_of(spec, row), str(row.get("display_name") or "")
    return f"{name}  {title}" if title and title != name else name


def _cells(entry: Entry) -> list[Cell]:
    return [Cell(entry.text, "muted" if entry.why else ""), Cell(entry.kind, "muted")]


#: Resources whose rows nobody goes to by name.
_NOT_OBJECTS = frozenset({"task", "log", "login-log", "log-purge", "host-history", "usage"})
