"""What goes for good when something is kept for fewer days: counted and named before it goes, never in silence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from core.coordination import purging, tasks
from core.errors import NeedsConsent, instant
from core.i18n import N_
from core.model import Task
from core.rules.parameters import Parameters
from core.services.listing import iso
from core.services.operation import Call
from core.services.relations import some
from core.services.trash import between


def refuse_unasked(call: Call, now: Parameters, wanted: Mapping[str, Any], agreed: Any) -> None:
    """Refuse to shorten what is kept while something would go by it that nobody was asked about.

    Args:
        call: the operation's call.
        now: the parameters in force.
        wanted: those asked for; None stays.
        agreed: True, or what somebody was asked about: the days that history and tasks are kept, and when the
            newest thing of the trash that goes was deleted.

    Raises:
        NeedsConsent: something would go for good; says what, how much, and from before when.
    """
    if agreed is True:
        return
    known = agreed if isinstance(agreed, dict) else {}
    losses: list[dict[str, Any]] = []
    consent: dict[str, Any] = {}
    asked = True
    for key, loss in (("trash_days", _of_trash), ("host_history_days", _of_history), ("task_days", _of_tasks)):
        days = wanted.get(key)
        if days is None or days >= getattr(now, key):
            continue
        lost = loss(call, days, getattr(now, key))
        if lost is None:
            continue
        sentence, mark = lost
        losses.append(sentence)
        consent[key] = mark
        asked = asked and _covers(known.get(key), mark, newest=key == "trash_days")
    if losses and not asked:
        raise NeedsConsent(
            N_("{losses} It cannot be taken back."),
            remedy=N_("Keep them for longer, or say that it is meant: --lose."),
            field=next(iter(consent)),
            argument="lose",
            agreed=consent,
            answer=N_("Delete them"),
            question=N_("{losses} It cannot be taken back. Delete them?"),
            losses=losses,
        )


def _covers(known: Any, mark: Any, *, newest: bool) -> bool:
    """Whether what was agreed to is as much as what goes: things deleted since, or fewer days, are not."""
    if type(known) is not type(mark):
        return False
    return bool(known >= mark if newest else known <= mark)


def _of_trash(call: Call, days: int, days_before: int) -> tuple[dict[str, Any], Any] | None:
    before = _ago(call, days)
    found = between(call, _ago(call, days_before), before)
    if not found:
        return None
    names = some(name for _kind, name, _deleted in found)
    projects = sum(kind == "project" for kind, _name, _deleted in found)
    message = (
        N_(
            "From the trash {count} deleted before {before} go for good: {names}; with projects ({projects}) all"
            " their files."
        )
        if projects
        else N_("From the trash {count} deleted before {before} go for good: {names}.")
    )
    parameters = {"count": len(found), "before": instant(before), "names": names, "projects": projects}
    return {"message": message, "parameters": parameters}, iso(max(deleted for _kind, _name, deleted in found))


def _of_history(call: Call, days: int, _days_before: int) -> tuple[dict[str, Any], Any] | None:
    before = _ago(call, days)
    return _lost(
        N_("{count} rows of host history before {before} are removed."),
        sum(purging.count(call.session, "host-history", before)),
        before,
        days,
    )


def _of_tasks(call: Call, days: int, _days_before: int) -> tuple[dict[str, Any], Any] | None:
    before = _ago(call, days)
    ended = select(func.count()).select_from(Task).where(*tasks.prunable(before))
    return _lost(
        N_("{count} tasks that ended before {before} are removed."), call.session.scalar(ended) or 0, before, days
    )


def _lost(message: str, count: int, before: datetime, days: int) -> tuple[dict[str, Any], Any] | None:
    if not count:
        return None
    return {"message": message, "parameters": {"count": count, "before": instant(before)}}, days


def _ago(call: Call, days: int) -> datetime:
    return call.clock.now() - timedelta(days=days)
