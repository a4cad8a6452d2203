"""Times as people type them, in the zone of the machine they type on; inside, times are UTC."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from core.errors import InvalidInput
from core.i18n import N_

_BACK = re.compile(r"-\s*([0-9]{1,6})\s*(m|min|h|d|w)")
_CLOCK = re.compile(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?")
_STEPS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
#: Days that have a name, as days from today.
_DAYS = {"today": 0, "yesterday": -1, "今天": 0, "昨天": -1, "前天": -2}
_NOW = ("now", "现在")


def read_time(text: str, now: datetime | None = None) -> datetime:
    """The moment that a text means, UTC without zone.

    ``2026-01-31``, ``2026-01-31 18:30[:15]``, ``18:30`` (today), ``today``, ``yesterday [18:30]``, ``now``, and back
    from now ``-30m``, ``-2h``, ``-7d``, ``-4w``: days and weeks by the calendar, so the hour stays the same when clocks
    are changed. A zone may be written as ISO 8601 has it (``Z``, ``+08:00``); without one it is this machine's.

    Args:
        text: what was typed.
        now: the time now with its zone; this machine's when None.

    Raises:
        InvalidInput: it is no time.
    """
    here = now or datetime.now().astimezone()
    try:
        # Without a zone, astimezone() takes the machine's rules as of that day.
        found = _read(text.strip().lower(), here)
        if found.tzinfo is None:
            found = found.replace(tzinfo=here.tzinfo) if now is not None else found.astimezone()
        return found.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise InvalidInput(
            N_("{text} is not a time."),
            remedy=N_("Write it as 2026-01-31, 2026-01-31 18:30, 18:30, yesterday or -7d (m, h, d, w)."),
            text=text,
        ) from None


def check_span(filters: Mapping[str, Any]) -> None:
    """Whether a span from ``since`` until before ``until`` (UTC, ISO 8601) ends after it begins.

    Raises:
        InvalidInput: it ends before it begins; names ``until``.
    """
    since, until = filters.get("since"), filters.get("until")
    if not since or not until:
        return
    try:
        empty = _utc(str(since)) > _utc(str(until))
    except ValueError:
        return  # what is no time is said of itself
    if empty:
        raise InvalidInput(N_("The span ends before it begins."), field="until")


def _utc(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _read(text: str, here: datetime) -> datetime:
    local = here.replace(tzinfo=None)
    if text in _NOW:
        return here
    back = _BACK.fullmatch(text)
    if back:
        step = timedelta(**{_STEPS[back[2]]: int(back[1])})
        return local - step if back[2] in ("d", "w") else here.astimezone(UTC) - step
    day, _space, clock = text.partition(" ")
    if _CLOCK.fullmatch(day) and not clock:
        day, clock = "today", day
    if day in _DAYS:
        begin = local.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=_DAYS[day])
        return begin if not clock else datetime.combine(begin, _clock(clock).time())
    # Python 3.11 takes neither a single-digit hour nor a blank before a zone.
    return datetime.fromisoformat(text.upper() if "t" in text or text.endswith("z") else text)


def _clock(text: str) -> datetime:
    if not _CLOCK.fullmatch(text):
        raise ValueError(text)
    return datetime.fromisoformat(f"2000-01-01 {text.zfill(8 if text.count(':') == 2 else 5)}")
