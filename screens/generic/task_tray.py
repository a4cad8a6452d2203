"""The tasks that were started at this console: progress, end, why one failed, and taking one back."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult

from core.i18n import N_, _
from screens import registry
from screens.base import BaseDialog
from screens.context import Context
from screens.generic.cells import state_sign
from screens.generic.offers import actions_of, is_allowed
from screens.spec import Action, Kind
from screens.taskbook import ENDED, Followed, Sent
from screens.values import show
from widgets.column_layout import TableColumn
from widgets.field_list import Fact, FieldList
from widgets.glyphs import glyphs
from widgets.pages import Want
from widgets.paragraph import Paragraph
from widgets.virtual_table import Cell, VirtualTable

#: Cells of a progress bar.
_BAR = 12


class TaskTray(BaseDialog[None]):
    """A list of tasks, the youngest first; it follows them while it is open."""

    BOX_CLASSES = "-wide"
    DEFAULT_CSS = """
    TaskTray Box { height: 20; max-height: 95%; }
    TaskTray VirtualTable { background: $panel; min-height: 3; }
    TaskTray FieldList { background: $surface; height: 3; margin-top: 1; }
    """

    def __init__(self, context: Context) -> None:
        """Bind it to the context."""
        super().__init__(context)
        self._spec = registry.resource("task")
        self._generation = 0
        self._shown: list[int] = []

    def title_text(self) -> str:
        """See :class:`widgets.dialog.Dialog`."""
        return _(N_("Tasks started here"))

    def body(self) -> ComposeResult:
        """The tasks, and the whole of what is known of the one under the cursor."""
        yield VirtualTable(self._columns(), _cells, lambda task: task.uuid, id="tasks", page_size=200)
        yield FieldList(id="whole")
        yield Paragraph(self._help(), id="help", classes="-muted")

    def _columns(self) -> list[TableColumn]:
        return [
            TableColumn("what", _(N_("What")), 30, sortable=False, flexible=True),
            TableColumn("state", _(N_("State")), 40, sortable=False),
        ]

    def _help(self) -> str:
        can = self._cancel is not None and is_allowed(self._cancel, self._row)
        task = self._followed
        if isinstance(task, Sent):
            if task.state in ENDED:
                return _(N_("r goes on with it. ")) + _(N_("Esc closes."))
            keys = _(N_("c breaks it off: what has arrived stays, and the same upload goes on with it. "))
            return keys + _(N_("It ends when you leave. Esc closes."))
        keys = _(N_("c takes it back, Enter shows it. ")) if can else _(N_("Enter shows it. "))
        if task is not None and task.can_again:
            keys = _(N_("r: again with what was typed. ")) + keys
        return keys + _(N_("Tasks go on when this is closed, and when you leave. Esc closes."))

    @property
    def _cancel(self) -> Action | None:
        return next((action for action in actions_of(self._spec, self.context.role) if action.verb == "cancel"), None)

    @property
    def _followed(self) -> Followed | None:
        found: Followed | None = self.query_one(VirtualTable).cursor_row if self.query(VirtualTable) else None
        return found

    @property
    def _row(self) -> dict[str, object] | None:
        task = self._followed
        return {**task.row, "uuid": task.uuid, "state": task.state} if task is not None and task.row else None

    def on_mount(self) -> None:
        """Show what there is."""
        self.tasks_changed()
        self.query_one(VirtualTable).focus()

    def tasks_changed(self) -> None:
        """There are news of tasks; they may come before it is made, and after it was left."""
        if not (self.is_attached_to_app and self.query(VirtualTable)):
            return
        tasks = self.context.tasks.all
        table = self.query_one(VirtualTable)
        table.set_placeholder(_(N_("No task was started here yet.")))
        if [id(task) for task in tasks] != self._shown or not table.loaded:
            self._shown = [id(task) for task in tasks]
            self._generation += 1
            table.restart()
            table.deliver(Want(self._generation, 0, len(tasks)), tasks, len(tasks))
        table.redraw()
        self._show_whole()

    def _show_whole(self) -> None:
        task = self._followed
        if task is not None:
            cell = _cells(task)[1]
            self.query_one(FieldList).set([Fact("", f"{task.what} {task.name}: {cell.text}", cell.role)])
        self.query_one("#help", Paragraph).set(self._help())

    # -- the hand

    def on_virtual_table_highlighted(self, event: VirtualTable.Highlighted) -> None:
        """All of it."""
        event.stop()
        self._show_whole()

    def on_virtual_table_activated(self, event: VirtualTable.Activated) -> None:
        """Its details, as the list of tasks has them."""
        event.stop()
        row = self._row
        if row is not None and not isinstance(self._followed, Sent):
            self.dismiss(None)
            self.context.desk.open_row(self._spec, row)

    def on_key(self, event: events.Key) -> None:
        """The key c takes the task under the cursor back, r goes on with a file or opens the form again."""
        row, task = self._row, self._followed
        if isinstance(task, Sent):
            if event.character == "c" and task.state not in ENDED:
                event.stop()
                task.stop.set()
            elif event.character == "r" and task.state in ENDED:
                event.stop()
                task.try_again()
        elif event.character == "r" and task is not None and task.can_again:
            event.stop()
            self.dismiss(None)
            self.app.call_later(task.try_again)
        elif event.character == "c" and row is not None and self._cancel is not None:
            from screens.generic.actions import ActionRun

            event.stop()
            ActionRun(self.context, self._spec, self._cancel, [row], self.ask, self.tasks_changed).start()

    def retranslate(self) -> None:
        """See :class:`screens.base.BaseDialog`."""
        super().retranslate()
        self.query_one(VirtualTable).set_columns(self._columns())
        self.tasks_changed()


def _cells(task: Followed) -> list[Cell]:
    sign, role = state_sign(task.state)
    words = f"{sign} {show(task.state, Kind.STATE)}"
    if task.state not in ENDED:
        full = round(task.progress / 100 * _BAR)
        bar = f"{glyphs().bar_full * full}{glyphs().bar_empty * (_BAR - full)}"
        words += f"  {bar} {task.progress:.0f}% {task.detail}".rstrip()
    elif task.state == "failed":
        words += f": {task.error}"
    elif task.outcome:
        words += f": {task.outcome}"
    return [Cell(f"{task.what} {task.name}"), Cell(words, role)]
