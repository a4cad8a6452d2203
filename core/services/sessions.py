"""Logging in: who is it, and since when. Every attempt leaves a row in the login log."""

from __future__ import annotations

import hashlib
import secrets
import threading
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, delete, select, update
from sqlalchemy.orm import Session as DatabaseSession

from core.clock import Clock
from core.database import Database
from core.errors import AuthenticationFailed
from core.i18n import N_
from core.model import LIVE, Project, Role, Session, User
from core.security.passwords import Passwords
from core.services.actor import Actor
from core.services.preferences import preferences_of
from core.services.slowing import Outcome, record, refuse_early, seconds_to_wait, suspicious
from core.services.users import own_row

#: A session that was not used for so long has ended.
IDLE = timedelta(hours=12)
#: How exactly the last use is kept: one write a minute, not one per action.
_USE_GRAIN = timedelta(minutes=1)
#: Seconds a token that was right is taken for right without asking the database.
_TOKEN_SECONDS = 3.0
_TOKENS = 10_000


class Sessions:
    """Logs in, recognises and logs out. Thread-safe."""

    def __init__(self, database: Database, clock: Clock, passwords: Passwords) -> None:
        self._database = database
        self._clock = clock
        self._passwords = passwords
        self._guard = threading.Lock()
        self._known: dict[str, tuple[float, Actor]] = {}

    def login(self, account: str, password: str, address: str) -> tuple[str, dict[str, Any]]:
        """Open a session.

        Returns:
            The token (64 hexadecimal digits; only its digest is kept) and the user's own row as
            ``profile.show`` gives it.

        Raises:
            AuthenticationFailed: wrong, frozen, or too early after wrong ones.
        """
        user_id = self._prove(account, password, address, log=True).User.id
        token = secrets.token_hex(32)
        now = self._clock.now()

        def work(session: DatabaseSession) -> dict[str, Any]:
            session.execute(delete(Session).where(Session.used < now - IDLE))
            found = session.execute(_user_and_project().where(User.id == user_id)).one_or_none()
            if found is None:
                raise _wrong()
            session.add(Session(digest=_digest(token), user_id=user_id, address=address[:64], created=now, used=now))
            own = own_row(found.User, found.project, found.of, found.active is not False)
            # With the answer that is waited for anyway: the console looks as it was left, at no further question.
            return {**own, "preferences": preferences_of(session, user_id)}

        return token, self._database.write(work)

    def logout(self, token: str) -> None:
        """End a session; one that has ended already is no error."""
        digest = _digest(token)
        with self._guard:
            self._known.pop(digest, None)
        self._database.write(lambda session: session.execute(delete(Session).where(Session.digest == digest)))
        with self._guard:
            self._known.pop(digest, None)

    def forget(self) -> None:
        """Ask the database again for every token: an account, a session or a project has changed."""
        with self._guard:
            self._known.clear()

    def authenticate_token(self, token: str, address: str) -> Actor:
        """Who holds this token.

        Raises:
            AuthenticationFailed: nobody any more.
        """
        digest = _digest(token)
        with self._guard:
            until, actor = self._known.get(digest, (0.0, None))
        if actor is not None and until > self._clock.monotonic() and actor.address == address[:64]:
            return actor
        actor = self._look_up(digest, address)
        # Who must change the password is asked about each time: the answer changes with the next call.
        if not actor.must_change_password:
            with self._guard:
                if len(self._known) >= _TOKENS:
                    self._known.clear()
                self._known[digest] = (self._clock.monotonic() + _TOKEN_SECONDS, actor)
        return actor

    def authenticate_password(self, account: str, password: str, address: str, log: bool) -> Actor:
        """Who proves identity by a password, for one call.

        Args:
            account: the account.
            password: the password.
            address: where the person comes from.
            log: whether a right one leaves a row in the login log; wrong ones always do.

        Raises:
            AuthenticationFailed: wrong, frozen, or too early after wrong ones.
        """
        return _actor(self._prove(account, password, address, log=log), address)

    def _prove(self, account: str, password: str, address: str, *, log: bool) -> Row[Any]:
        account, address = _printable(account), _printable(address)
        found = self._find(account, address)
        quick = found is not None and not found.suspicious and not found.User.frozen
        if found is not None and quick and self._passwords.remembers(password, found.User.password_hash):
            if log:
                self._database.write(lambda s: record(s, self._clock, account, address, Outcome.RIGHT))
            return found
        with self._passwords.attempts:
            return self._attempt_now(account, password, address, log=log)

    def _attempt_now(self, account: str, password: str, address: str, *, log: bool) -> Row[Any]:
        wait = self._database.read(lambda s: seconds_to_wait(s, self._clock, account, address))
        if wait > 0:
            self._database.write(lambda s: record(s, self._clock, account, address, Outcome.EARLY))
            raise refuse_early(wait)
        found = self._find(account, address)
        right = self._passwords.verify(password, found.User.password_hash if found else None)
        outcome = Outcome.WRONG
        if found is not None and right:
            outcome = Outcome.FROZEN if found.User.frozen else Outcome.RIGHT
        # A right one after wrong ones is always kept: it ends the row of wrong ones.
        if log or outcome is not Outcome.RIGHT or (found is not None and found.suspicious):
            self._database.write(lambda s: record(s, self._clock, account, address, outcome))
        if found is None or outcome is Outcome.WRONG:
            raise _wrong()
        if outcome is Outcome.FROZEN:
            raise AuthenticationFailed(
                N_("The account {account} is frozen."),
                remedy=N_("Ask the system administrator to unfreeze it."),
                account=account,
            )
        self._renew_hash(found.User, password)
        return found

    def _find(self, account: str, address: str) -> Row[Any] | None:
        statement = _user_and_project().add_columns(suspicious(self._clock, account, address).label("suspicious"))
        return self._database.read(lambda s: s.execute(statement.where(User.account == account)).one_or_none())

    def _renew_hash(self, user: User, password: str) -> None:
        """Store a hash with today's costs when the stored one was made with others."""
        if not self._passwords.needs_rehash(user.password_hash):
            return
        renewed = self._passwords.hash(password)
        self._database.write(
            lambda s: s.execute(
                update(User)
                .where(User.id == user.id, User.password_hash == user.password_hash)
                .values(password_hash=renewed)
            )
        )

    def _look_up(self, digest: str, address: str) -> Actor:
        now = self._clock.now()

        def load(session: DatabaseSession) -> Row[Any] | None:
            return session.execute(
                _user_and_project()
                .add_columns(Session.used)
                .join(Session, Session.user_id == User.id)
                .where(Session.digest == digest, Session.used >= now - IDLE)
            ).one_or_none()

        found = self._database.read(load)
        if found is None:
            raise AuthenticationFailed(N_("The session has ended."), remedy=N_("Log in again."))
        if now - found.used > _USE_GRAIN:
            self._database.write(lambda s: s.execute(update(Session).where(Session.digest == digest).values(used=now)))
        return _actor(found, address, digest)


def _user_and_project() -> Any:
    return (
        select(User, Project.name.label("project"), Project.uuid.label("of"), Project.active.label("active"))
        .outerjoin(Project, Project.id == User.project_id)
        .options(LIVE)
    )


def _actor(found: Row[Any], address: str, digest: str = "") -> Actor:
    user: User = found.User
    return Actor(
        user_id=user.id,
        uuid=user.uuid,
        account=user.account,
        role=Role(user.role),
        address=address[:64],
        # One in the trash is nobody's, whatever the account remembers.
        project_id=user.project_id if found.project is not None else None,
        project_active=found.active is not False,
        must_change_password=user.must_change_password,
        session=digest,
    )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _printable(text: str) -> str:
    """What somebody sent as account or address, as the database can hold it."""
    return text.encode("utf-8", "replace").decode()[:64]


def _wrong() -> AuthenticationFailed:
    return AuthenticationFailed(N_("The account or the password is wrong."))
