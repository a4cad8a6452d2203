"""The history of hosts' loads: by time span, thinned for charts, cleared before a time (manual 6.2.2.3, 6.2.2.5)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select, text

from core.coordination import purging
from core.errors import InvalidInput
from core.i18n import N_
from core.model import Host, HostSample
from core.services import purges
from core.services.fields import in_range
from core.services.listing import Query, answer, contains, iso, listing, moment
from core.services.lookup import find, meant
from core.services.operation import SYSTEM_ADMIN, Answer, Call, operation
from core.services.paging import Either, Fits
from core.services.relations import some

#: What a row says of a host: percents, and bytes per second.
LOADS = ("cpu_percent", "memory_percent", "disk_percent", "network_rate")
#: Points of a chart: fewer say nothing, more no terminal shows.
FEWEST, MOST = 2, 1000
#: Hosts whose names fit a search are looked at one by one up to so many.
_APART = 8


_ROWS: Any = select(HostSample, Host.name, Host.uuid).join(Host, Host.id == HostSample.host_id)


def _of_host(call: Call, reference: Any) -> ColumnElement[bool]:
    # The number, not a join: rows of one host lie together, in the order of time.
    number = call.session.scalar(select(Host.id).where(*meant(call, Host, str(reference))))
    return HostSample.host_id == (number or 0)


def _of_hosts_named(call: Call, name: str) -> Fits:
    """Rows of the hosts whose names have a text in them: there are few hosts, and many rows of each."""
    ids = list(call.session.scalars(select(Host.id).where(contains(call, [Host.name], name))))
    if 1 <= len(ids) <= _APART:
        return Either(tuple(HostSample.host_id == number for number in ids))
    return HostSample.host_id.in_(ids)


@operation("host-history.list", roles=SYSTEM_ADMIN)
def list_(call: Call, *, query: Query) -> Answer:
    """The rows of all hosts, or of one; ``name`` is the host's, ``uuid`` the row's number."""
    rows, total = listing(
        call,
        select(HostSample),
        query,
        columns={"at": HostSample.at},
        tie=HostSample.id,
        search=lambda name: _of_hosts_named(call, name),
        filters={
            "host": lambda value: _of_host(call, value),
            "since": lambda value: HostSample.at >= moment(value),
            "until": lambda value: HostSample.at < moment(value),
        },
        rows=_ROWS,
    )
    return answer([_row(found) for found in rows], total)


def _row(found: Any) -> dict[str, Any]:
    sample = found.HostSample
    return {
        "uuid": str(sample.id),
        "name": found.name,
        "host": found.uuid,
        "at": iso(sample.at),
        **{key: getattr(sample, key) for key in LOADS},
    }


@operation("host-history.chart", roles=SYSTEM_ADMIN)
def chart(call: Call, *, host: str, since: str = "", until: str = "", points: int = 200) -> Answer:
    """A host's history between two times in a bounded number of points, made by the database.

    Args:
        call: the call.
        host: whose.
        since: the first moment, ISO 8601, UTC; empty for the first there is.
        until: where it ends, empty for now.
        points: at most so many; each is of an equal share of the time.

    Returns:
        ``samples``: of each share in which there are rows, oldest first, ``at`` (the mean of their times, Unix
        seconds), ``count``, and of each load its mean under its own name, its least and most with ``_low`` and
        ``_high``. ``first`` and ``last``: the ends of all there is of the host, or None. ``since``, ``until``: the
        span that was looked at, Unix seconds.
    """
    found = find(call, Host, host, field="host")
    in_range("points", points, FEWEST, MOST)
    # Each end by itself is one step down the index.
    first = call.session.scalar(select(func.min(HostSample.at)).where(HostSample.host_id == found.id))
    last = call.session.scalar(select(func.max(HostSample.at)).where(HostSample.host_id == found.id))
    end = moment(until, field="until") if until else call.clock.now() + timedelta(seconds=1)
    begin = moment(since, field="since") if since else min(first or end, end - timedelta(minutes=5))
    if begin >= end:
        raise InvalidInput(N_("The span ends before it begins."), field="until")
    begin, end = begin.replace(microsecond=0), end.replace(microsecond=0)
    return {
        "samples": _thinned(call, found.id, begin, end, points),
        "first": _unix(first) if first else None,
        "last": _unix(last) if last else None,
        "since": _unix(begin),
        "until": _unix(end),
    }


def _thinned(call: Call, host_id: int, begin: datetime, end: datetime, points: int) -> list[dict[str, Any]]:
    """One statement, whose rows are the points."""
    seconds = _seconds_after(call, begin)
    share = max(1.0, (end - begin).total_seconds() / points)
    number = func.floor(seconds / share)
    columns = [func.avg(seconds).label("after"), func.count().label("count")]
    for key in LOADS:
        column = getattr(HostSample, key)
        columns += [
            func.avg(column).label(key),
            func.min(column).label(f"{key}_low"),
            func.max(column).label(f"{key}_high"),
        ]
    statement = (
        select(*columns)
        .where(HostSample.host_id == host_id, HostSample.at >= begin, HostSample.at < end)
        .group_by(number)
        .order_by(number)
    )
    start = _unix(begin)
    samples = []
    for row in call.session.execute(statement).mappings():
        values = {key: round(float(value), 1) for key, value in row.items() if key not in ("after", "count")}
        samples.append({"at": start + round(float(row["after"]), 1), "count": int(row["count"]), **values})
    return samples


def _seconds_after(call: Call, begin: datetime) -> ColumnElement[Any]:
    if call.session.get_bind().dialect.name == "sqlite":
        return func.unixepoch(HostSample.at) - int(_unix(begin))
    return func.timestampdiff(text("SECOND"), begin, HostSample.at)


def _unix(time: datetime) -> float:
    return time.replace(tzinfo=UTC).timestamp()


@operation("host-history.clearable", roles=SYSTEM_ADMIN)
def clearable(call: Call, *, before: str, host: str = "") -> Answer:
    """How many rows :func:`clear` would remove: ``rows``, and ``of`` which hosts."""
    found = find(call, Host, host, field="host") if host else None
    until = _limit(call, before)
    counted = purging.count(call.session, "host-history", until, found.uuid if found else "")
    names = [found.name] if found else call.session.scalars(select(Host.name).order_by(Host.name)).all()
    return {"rows": sum(counted), "of": some(names)}


@operation("host-history.clear", roles=SYSTEM_ADMIN, action=N_("Clear"))
def clear(call: Call, *, before: str, host: str = "") -> Answer:
    """Remove the history of one host, or of all, that is older than a time."""
    found = find(call, Host, host, field="host") if host else None
    scope = (found.uuid, found.name) if found else ("", "")
    return purges.clear(call, "host-history", _limit(call, before), scope=scope[0], name=scope[1])


def _limit(call: Call, before: str) -> datetime:
    until = moment(before, field="before").replace(microsecond=0)
    if until > call.clock.now():
        raise InvalidInput(N_("This time has not come yet."), remedy=N_("Choose an earlier time."), field="before")
    return until
