"""An action on several rows: some at once or one after the other, with a report for each."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from textual.app import ComposeResult
from textual.widget import Widget

from core.errors import AuthenticationFailed, DosvmError, Unavailable
from core.i18n import N_, _
from screens.base import BaseDialog
from screens.context import Context
from screens.generic.cells import state_sign
from screens.spec import Kind
from screens.taskbook import ENDED, Followed
from screens.values import show
from widgets.column_layout import TableColumn
from widgets.field_list import Fact, FieldList
from widgets.glyphs import glyphs
from widgets.pages import Want
from widgets.paragraph import Paragraph
from widgets.push_button import PushButton
from widgets.virtual_table import Cell, VirtualTable

#: What is done to some items; runs in a thread. Gives for each what its call returned, or why it was refused.
Work = Callable[[Sequence[Any]], Sequence[Any]]
#: Takes what a call returned; gives the tasks that it began, if any.
Begun = Callable[[Any], Sequence[Followed]]
#: Ends of a task after which it may be tried again.
_ILL = frozenset({"failed", "cancelled"})


class BulkReport(BaseDialog[Any]):
    """Runs an action on each item and says how each went, and how its tasks went on to their ends.

    What was refused, and what failed later, can be tried again. Its result is what the calls that went well returned;
    or the error, when what was typed for all of them was wrong, such as one's own password. It closes by itself when
    all of them are done; who closes it before leaves the tasks as they go on.
    """

    BOX_CLASSES = "-wide"
    #: It fills a small screen, and how its tasks go on stands in it: what else is to be said waits until it is closed.
    holds_notices = True
    DEFAULT_CSS = """
    BulkReport Box { height: 22; max-height: 100%; }
    BulkReport VirtualTable { background: $panel; min-height: 4; }
    BulkReport FieldList { background: $surface; height: 3; margin-top: 1; }
    """

    def __init__(
        self,
        context: Context,
        title: Callable[[], str],
        items: Sequence[tuple[str, Any]],
        work: Work,
        begun: Begun,
        *,
        at_once: int = 1,
        left_out: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Make a report.

        Args:
            context: the context.
            title: gives the frame's title.
            items: name and item of each.
            work: what is done to them.
            begun: told of each that went well.
            at_once: how many are asked for by one call.
            left_out: name, and msgid of why, of each that was meant and that it makes no sense for.
        """
        super().__init__(context)
        self._title = title
        self._items = list(items)
        self._work = work
        self._begun = begun
        self._at_once = at_once
        self._left_out = list(left_out)
        self._under_way: list[int] = []
        self._results: dict[int, Any] = {}
        self._well: dict[int, Sequence[Followed]] = {}
        self._refused: dict[int, DosvmError] = {}
        self._queue = deque(range(len(self._items)))
        self._running = False

    def title_text(self) -> str:
        """See :class:`widgets.dialog.Dialog`."""
        return self._title()

    def body(self) -> ComposeResult:
        """How many are done, how each went, and the whole reason of the one under the cursor."""
        yield Paragraph("", id="count", classes="-strong")
        yield VirtualTable(self._columns(), self._cells, str, id="rows", page_size=1000)
        yield FieldList(id="reason")

    def _columns(self) -> list[TableColumn]:
        return [
            TableColumn("name", _(N_("Name")), 24, sortable=False),
            TableColumn("outcome", _(N_("Outcome")), 60, sortable=False, flexible=True),
        ]

    def buttons(self) -> list[Widget]:
        """Stop, then close; once more for what was refused or failed."""
        return [
            PushButton(_(N_("Again for those not done")), "again", id="again"),
            PushButton(_(N_("Stop")), "close", id="close"),
        ]

    def on_mount(self) -> None:
        """Begin."""
        table = self.query_one(VirtualTable)
        numbers = list(range(len(self._items) + len(self._left_out)))
        table.deliver(Want(0, 0, len(numbers)), numbers, len(numbers))
        self.query_one("#close").focus()
        self._next()

    def _cells(self, number: int) -> list[Cell]:
        names = [*self._items, *self._left_out]
        return [Cell(names[number][0]), self._outcome(number)]

    def _outcome(self, number: int) -> Cell:
        if number >= len(self._items):
            _name, why = self._left_out[number - len(self._items)]
            return Cell(_(N_("left out: {why}")).format(why=_(why)), "warning")
        if number in self._refused:
            return Cell(self._refused[number].text(), "error")
        if number not in self._well:
            return Cell(_(N_("waits")) if self._running else _(N_("not asked for")), "muted")
        task = self._telling(number)
        if task is None:
            # The sign of what is chosen is that of what failed where the font has ASCII only.
            sign = glyphs().chosen if glyphs().braille else state_sign("done")[0]
            return Cell(f"{sign} {_(N_('done'))}", "success")
        sign, role = state_sign(task.state)
        words = f"{_(N_('asked for'))}: {sign} {show(task.state, Kind.STATE)}"
        more = task.error if task.state == "failed" else task.outcome
        return Cell(f"{words}: {more}" if more else words, role)

    def _telling(self, number: int) -> Followed | None:
        """Of the tasks of one the one to tell of: what failed, else what goes on, else the last."""
        tasks = self._well[number]
        ill = [task for task in tasks if task.state in _ILL]
        going = [task for task in tasks if task.state not in ENDED]
        return next(iter([*ill, *going, *reversed(tasks)]), None)

    @property
    def _ill(self) -> list[int]:
        """Those that were begun, and whose task did not come to a good end."""
        return [n for n, tasks in self._well.items() if any(task.state in _ILL for task in tasks)]

    @property
    def _going(self) -> list[int]:
        """Those whose tasks have not all ended, and none badly."""
        ill = set(self._ill)
        return [n for n, tasks in self._well.items() if n not in ill and any(task.state not in ENDED for task in tasks)]

    # -- one after the other

    def _next(self) -> None:
        self._running = bool(self._queue)
        self._show()
        if not self._running:
            self._close_when_done()
            return
        self._under_way = [self._queue.popleft() for _ in range(min(self._at_once, len(self._queue)))]
        items = [self._items[number][1] for number in self._under_way]
        self.ask(lambda: self._work(items), self._came, lambda error: self._came([error] * len(items)))

    def _close_when_done(self) -> None:
        """Nobody needs to read that all went well."""
        over = not self._running and not self._going and not self._ill
        if over and not self._refused and not self._left_out and len(self._well) == len(self._items):
            self.leave()

    def _came(self, results: Sequence[Any]) -> None:
        asked, self._under_way = self._under_way, []
        for number, result in zip(asked, results, strict=True):
            if isinstance(result, DosvmError):
                self._refused[number] = result
            else:
                self._results[number] = result
                self._well[number] = self._begun(result)
        error = next((one for one in results if isinstance(one, Unavailable | AuthenticationFailed)), None)
        if isinstance(error, AuthenticationFailed) and error.field and not self._well:
            self.dismiss(error)
            return
        if error is not None:
            # The rest would fail for the same reason.
            self._queue.clear()
            self.context.desk.explain(error)
        self._next()

    def _again(self) -> None:
        """Ask once more for what was refused or failed, and for what was not asked for because it was stopped."""
        if not self._running:
            self._refused.clear()
            for number in self._ill:
                del self._well[number]
            self._queue = deque(n for n in range(len(self._items)) if n not in self._well)
            self.query_one("#close").focus()
            self._next()

    # -- shown

    def tells_of(self, task: Followed) -> bool:
        """Whether how a task ended is told here."""
        return any(task is one for tasks in self._well.values() for one in tasks)

    def tasks_changed(self) -> None:
        """There are news of tasks; they may come before it is made."""
        if self.query(VirtualTable):
            self._show()
            self._close_when_done()

    def on_virtual_table_highlighted(self, event: VirtualTable.Highlighted) -> None:
        """The whole reason."""
        event.stop()
        self._show_reason()

    def _show_reason(self) -> None:
        number = self.query_one(VirtualTable).cursor_row
        if number is not None:
            self.query_one(FieldList).set([Fact("", self._outcome(number).text, self._outcome(number).role)])

    def _show(self) -> None:
        self.query_one(VirtualTable).redraw()
        ill, going = len(self._ill), len(self._going)
        text = _(N_("{done} of {all} done")).format(done=len(self._well) - ill - going, all=len(self._items))
        if going:
            text += _(N_(", {count} under way")).format(count=going)
        if ill:
            text += _(N_(", {count} failed")).format(count=ill)
        text += _(N_(", {count} refused")).format(count=len(self._refused))
        if self._left_out:
            text += _(N_(", {count} left out")).format(count=len(self._left_out))
        self.query_one("#count", Paragraph).set(text)
        self.query_one("#close", PushButton).set_label(_("Stop") if self._running else _(N_("Close")))
        left = len(self._well) < len(self._items) or bool(ill)
        self.query_one("#again", PushButton).display = left and not self._running
        self._show_reason()

    def on_push_button_pressed(self, event: PushButton.Pressed) -> None:
        """Stop, close when it is over, or try again."""
        event.stop()
        if event.press == "again":
            self._again()
        else:
            self.leave()

    @property
    def unsaved(self) -> bool:
        """See :class:`screens.base.BaseDialog`."""
        return self._running

    def leave(self) -> None:
        """Esc stops what has not begun, then closes."""
        if not self._running:
            self.dismiss(list(self._results.values()))
        else:
            # What is under way cannot be called back.
            self._queue.clear()

    def retranslate(self) -> None:
        """See :class:`screens.base.BaseDialog`."""
        super().retranslate()
        self.query_one(VirtualTable).set_columns(self._columns())
        self.query_one("#again", PushButton).set_label(_("Again for those not done"))
        self._show()
