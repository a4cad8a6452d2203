"""What is deleted and can be taken back: it stays in its table, and nobody who works finds it there."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import event, select
from sqlalchemy.orm import Mapped, ORMExecuteState, Session, mapped_column, with_loader_criteria
from sqlalchemy.sql.selectable import Select

from core.model.base import Prose, Time, Title

#: Key of ``Session.info``: queries of such a session do not see what is in the trash.
HIDES_TRASH = "hides_trash"
#: Execution option of a statement that sees it nevertheless.
WITH_TRASH = "with_trash"


class Trashable:
    """Columns of a table whose rows go to the trash before they go for good.

    While ``deleted`` is set, the row's unique name is its UUID, so that the name is free, and ``trash_name`` is what
    it was called. ``trash_memory`` is what else a return needs, as JSON. ``purging`` rows never come back.
    """

    deleted: Mapped[Time | None] = mapped_column(index=True)
    deleted_by: Mapped[Title]
    trash_name: Mapped[Title]
    trash_memory: Mapped[Prose]
    purging: Mapped[bool] = mapped_column(default=False)


#: Hides what is in the trash from the statement it is an option of, in joins and subqueries too.
LIVE = with_loader_criteria(Trashable, lambda table: table.deleted.is_(None), include_aliases=True)

#: Statements and their forms that do not see what is in the trash.
_FORMS: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


@event.listens_for(Session, "do_orm_execute")
def _hide(execution: ORMExecuteState) -> None:
    if (
        execution.is_select
        and execution.session.info.get(HIDES_TRASH)
        and not execution.is_column_load
        and not execution.execution_options.get(WITH_TRASH)
    ):
        # Statements that are made once keep their form, and with it the key of their compiled text: to make that key
        # of a large one takes longer than its answer.
        known = _FORMS.get(execution.statement)
        if known is None:
            known = _FORMS[execution.statement] = execution.statement.options(LIVE)
        execution.statement = known


def in_trash(table: type[Trashable]) -> Select[Any]:
    """The ids of a table's rows that are in the trash, for a subquery; few, and found by an index."""
    columns = table.__table__.c  # type: ignore[attr-defined]
    return select(columns.id).where(columns.deleted.is_not(None))
