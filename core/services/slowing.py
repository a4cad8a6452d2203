"""Guessing passwords is made slow: by account and by address, over all hosts, from the login log.

After three wrong ones in a row within fifteen minutes the next try has to wait a second, then two, four ...
up to a minute. A right one ends the row. What came too early is refused unread, so it neither costs a hash
nor tells whether it was right.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import Session

from core.clock import Clock
from core.database import Database
from core.errors import AuthenticationFailed, InvalidInput
from core.i18n import N_
from core.model import LoginLog, User
from core.model.base import VIA
from core.security.passwords import Passwords
from core.services.actor import Actor

FREE_TRIES = 3
WINDOW = timedelta(minutes=15)
LONGEST_WAIT = 60.0
#: As many wrong ones in a row as make a difference to the wait.
_MOST = FREE_TRIES + 6
#: Rows from the future (somebody set a clock back) count as new up to here, and not at all beyond.
_CLOCK_STEP = timedelta(minutes=1)


class Outcome(StrEnum):
    """How an attempt to log in ended; ``early`` is one that did not wait, ``own`` a password asked again."""

    RIGHT = "right"
    WRONG = "wrong"
    FROZEN = "frozen"
    EARLY = "early"
    OWN_WRONG = "own-wrong"


_TELLING = (Outcome.RIGHT.value, Outcome.WRONG.value, Outcome.OWN_WRONG.value)
_BAD = (Outcome.WRONG.value, Outcome.OWN_WRONG.value)


def record(session: Session, clock: Clock, account: str, address: str, outcome: Outcome) -> None:
    """Write a row of the login log. Account and address come from outside and are cut to what it holds."""
    session.add(LoginLog(at=clock.now(), account=account[:64], address=address[:64], outcome=outcome.value))


def suspicious(clock: Clock, account: str, address: str) -> ColumnElement[bool]:
    """The condition that :func:`seconds_to_wait` is worth asking: there are wrong ones at all."""
    since = clock.now() - WINDOW
    mine = (LoginLog.account == account[:64], LoginLog.at >= since, LoginLog.outcome.in_(_BAD))
    here = (_from(address), LoginLog.at >= since, LoginLog.outcome.in_(_BAD))
    return exists(select(LoginLog.id).where(*mine)) | exists(select(LoginLog.id).where(*here))


def seconds_to_wait(session: Session, clock: Clock, account: str, address: str) -> float:
    """Seconds until this account may be tried from this address; 0 when it may now."""
    return max(
        _wait(session, clock, LoginLog.account == account[:64]),
        _wait(session, clock, _from(address)),
    )


def _from(address: str) -> ColumnElement[bool]:
    """Attempts from an address; where a console says it acts for another, it is the console's own that counts."""
    _claimed, via, console = address[:64].rpartition(VIA)
    if not via:
        return LoginLog.address == address[:64]
    return LoginLog.address.endswith(via + console, autoescape=True)


def refuse_early(wait: float) -> AuthenticationFailed:
    """The error for who does not wait."""
    seconds = max(1, int(wait + 0.999))
    return AuthenticationFailed(
        N_("Too many wrong passwords."), remedy=N_("Wait {seconds} s and try again."), seconds=seconds
    )


def confirm(database: Database, clock: Clock, passwords: Passwords, actor: Actor, field: str, password: str) -> None:
    """Check the caller's own password, asked again before something that matters (manual 5.4.3).

    Raises:
        InvalidInput: it is wrong.
        AuthenticationFailed: too early after wrong ones.
    """

    def look(session: Session) -> tuple[str | None, float]:
        stored = session.scalar(select(User.password_hash).where(User.id == actor.user_id))
        return stored, seconds_to_wait(session, clock, actor.account, actor.address)

    with passwords.attempts:
        stored, wait = database.read(look)
        if wait > 0:
            raise refuse_early(wait)
        if passwords.verify(password, stored):
            return
        database.write(lambda s: record(s, clock, actor.account, actor.address, Outcome.OWN_WRONG))
    raise InvalidInput(N_("This is not your password."), field=field)


def _wait(session: Session, clock: Clock, whose: ColumnElement[bool]) -> float:
    now = clock.now()
    rows = session.execute(
        select(LoginLog.outcome, LoginLog.at)
        .where(whose, LoginLog.at >= now - WINDOW, LoginLog.at <= now + _CLOCK_STEP, LoginLog.outcome.in_(_TELLING))
        .order_by(LoginLog.at.desc(), LoginLog.id.desc())
        .limit(_MOST)
    ).all()
    return _wait_after([(row.outcome, row.at) for row in rows], now)


def _wait_after(newest_first: list[tuple[str, Any]], now: datetime) -> float:
    wrong = 0
    for outcome, _at in newest_first:
        if outcome == Outcome.RIGHT.value:
            break
        wrong += 1
    if wrong < FREE_TRIES:
        return 0.0
    wait = min(LONGEST_WAIT, 2.0 ** (wrong - FREE_TRIES))
    elapsed: float = (now - newest_first[0][1]).total_seconds()
    return max(0.0, wait - max(0.0, elapsed))
