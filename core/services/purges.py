"""Clearing the logs before a time, and the record of it that stays for ever (manual 13.1.3, 13.1.4)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from core.clock import WRITTEN
from core.coordination import purging
from core.errors import InvalidInput
from core.i18n import N_
from core.model import Purge
from core.services.listing import Query, answer, contains, iso, listing, moment
from core.services.operation import SYSTEM_ADMIN, Answer, Call, operation
from core.services.orders import here, order

#: The newest rows stay. The request key of a change must be in the log for as long as somebody may repeat it, or it
#: would happen again: a signed request counts for ten minutes (:data:`core.rpc.signature.SKEW`), a lost answer is
#: asked for again within one, and hosts' clocks differ. Wrong logins count for fifteen minutes
#: (:mod:`core.services.slowing`).
KEPT = timedelta(hours=1)


def clear(call: Call, what: str, until: datetime, *, scope: str = "", name: str = "") -> Answer:
    """Have the answering host remove rows older than a time, and record it.

    Args:
        call: the operation's call.
        what: a key of :data:`core.coordination.purging.CLEARED`.
        until: the time.
        scope: UUID of the object whose rows they are; empty for all.
        name: its name.

    Returns:
        ``task``, ``uuid`` (the record's) and ``name`` (the time). How many rows go, its ``clearable`` tells before.
    """
    host = here(call)
    purge = Purge(
        at=call.clock.now(),
        account=call.actor.account,
        address=call.actor.address,
        what=what,
        scope=scope,
        scope_name=name,
        before=until,
        rows=0,
    )
    call.session.add(purge)
    call.session.flush()
    written = until.strftime(WRITTEN)
    call.note(f"{name}: {written}" if name else written)
    call.changed("log-purge")
    return order(call, "purge", purge, host.id, name=written)


def limit(call: Call, before: str) -> datetime:
    """The time before which rows may go, a full second: what people read of it is what it was.

    Raises:
        InvalidInput: it is no time, or too late.
    """
    until = moment(before, field="before").replace(microsecond=0)
    if until > call.clock.now() - KEPT:
        raise InvalidInput(
            N_("What is younger than an hour stays: it keeps a repeated request from happening twice."),
            remedy=N_("Choose an earlier time."),
            field="before",
        )
    return until


@operation("log.clear", roles=SYSTEM_ADMIN, action=N_("Clear"))
def clear_logs(call: Call, *, before: str) -> Answer:
    """Remove the rows of both logs that are older than a time."""
    return clear(call, "log", limit(call, before))


@operation("log.clearable", roles=SYSTEM_ADMIN)
def clearable(call: Call, *, before: str) -> Answer:
    """How many rows :func:`clear_logs` would remove: ``operations`` and ``logins``."""
    operations, logins = purging.count(call.session, "log", limit(call, before))
    return {"operations": operations, "logins": logins}


@operation("log-purge.list", roles=SYSTEM_ADMIN)
def list_(call: Call, *, query: Query) -> Answer:
    """Who cleared what; ``rows`` is how many are gone so far, ``finished`` when it was all."""
    rows, total = listing(
        call,
        select(Purge),
        query,
        columns={
            "at": Purge.at,
            "account": Purge.account,
            "address": Purge.address,
            "what": Purge.what,
            "scope": Purge.scope_name,
            "before": Purge.before,
            "rows": Purge.rows,
            "finished": Purge.finished,
        },
        tie=Purge.id,
        search=[Purge.account, Purge.address, Purge.scope_name],
        filters={
            "account": lambda value: contains(call, [Purge.account], str(value)),
            "since": lambda value: Purge.at >= moment(value),
            "until": lambda value: Purge.at < moment(value),
        },
    )
    return answer([_row(found.Purge) for found in rows], total)


def _row(purge: Purge) -> dict[str, Any]:
    return {
        "uuid": purge.uuid,
        "name": iso(purge.before),
        "at": iso(purge.at),
        "account": purge.account,
        "address": purge.address,
        "action": "Delete",
        "what": purge.what,
        "scope": purge.scope_name,
        "before": iso(purge.before),
        "rows": purge.rows,
        "finished": iso(purge.finished),
    }
