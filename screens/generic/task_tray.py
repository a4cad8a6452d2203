"""The tasks that were started at this console: progress, end, and why one failed."""

from __future__ import annotations

from textual.app import ComposeResult

from core.i18n import N_, _
from screens.base import BaseDialog
from screens.context import Context
from screens.generic.cells import state_sign
from screens.spec import Kind
from screens.taskbook import ENDED, Followed
from screens.values import show
from widgets.field_list import Fact, FieldList
from widgets.glyphs import glyphs
from widgets.paragraph import Paragraph

#: Cells of a progress bar.
_BAR = 12


class TaskTray(BaseDialog[None]):
    """A list of tasks, the youngest first; it follows them while it is open."""

    BOX_CLASSES = "-wide"
    DEFAULT_CSS = """
    TaskTray Box { height: auto; max-height: 90%; }
    TaskTray FieldList { height: auto; min-height: 6; max-height: 16; background: $panel; }
    """

    def __init__(self, context: Context) -> None:
        """Bind it to the context."""
        super().__init__(context)

    def title_text(self) -> str:
        """See :class:`widgets.dialog.Dialog`."""
        return _(N_("Tasks started here"))

    def body(self) -> ComposeResult:
        """The tasks."""
        yield FieldList(id="tasks")
        yield Paragraph("", id="help", classes="-muted")

    def on_mount(self) -> None:
        """Show what there is."""
        self.tasks_changed()
        self.query_one(FieldList).focus()

    def tasks_changed(self) -> None:
        """There are news of tasks."""
        tasks = self.context.tasks.all
        facts = [fact for task in tasks for fact in _facts(task)]
        self.query_one(FieldList).set(facts or [Fact("", _(N_("No task was started here yet.")), "muted")])
        self.query_one(FieldList).styles.height = max(6, min(16, len(facts) + 1))
        self.query_one("#help", Paragraph).set(
            _(N_("Tasks go on when this is closed, and when you leave. Esc closes."))
        )

    def retranslate(self) -> None:
        """See :class:`screens.base.BaseDialog`."""
        super().retranslate()
        self.tasks_changed()


def _facts(task: Followed) -> list[Fact]:
    sign, role = state_sign(task.state)
    words = f"{sign} {show(task.state, Kind.STATE)}"
    if task.state not in ENDED:
        full = round(task.progress / 100 * _BAR)
        words += f"  {glyphs().bar_full * full}{glyphs().bar_empty * (_BAR - full)} {task.progress:.0f}%"
    elif task.state == "failed":
        words += f": {task.error}"
    return [Fact(f"{task.what} {task.name}", words, role)]
