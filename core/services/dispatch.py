"""Runs operations: permission, arguments, transaction, log, and what follows a commit."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, TypeVar
from uuid import UUID, uuid5

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError, NoResultFound
from sqlalchemy.orm import Session

from core.clock import Clock
from core.coordination.tasks import Claimed
from core.database import Database
from core.errors import (
    DosvmError,
    InvalidInput,
    NotFound,
    PasswordChangeRequired,
    PermissionDenied,
    Unavailable,
    overtaken,
)
from core.i18n import N_
from core.model import HIDES_TRASH, OperationLog
from core.rules import names
from core.security.passwords import Passwords
from core.security.vault import Vault
from core.services.actor import HOSTD, Actor
from core.services.cloud import Cloud
from core.services.fields import at_field
from core.services.operation import (
    OPERATIONS,
    SYSTEM_ADMIN,
    Answer,
    Beginner,
    Call,
    NewPassword,
    Operation,
    Outcome,
    OwnPassword,
    Rings,
    with_field,
)
from core.services.sessions import Sessions
from core.services.slowing import confirm

T = TypeVar("T")

#: The one operation that is open to a user whose password must be changed first.
FIRST_STEP = "profile.change-password"
#: Topics that say something about who may do what.
PEOPLE = frozenset({"user", "project"})
#: Makes keys for the other rows of a request that is about many objects.
_EACH = UUID("6f1b1c52-6d1e-4d4b-9a6c-2f3f0b3f7f5e")
_LOG = insert(OperationLog.__table__)  # type: ignore[arg-type]


class Services:
    """The domain, ready to be called by name."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        cloud: Cloud,
        passwords: Passwords,
        after_commit: Callable[[Rings, set[str]], None],
        sessions: Sessions | None = None,
        *,
        vault: Vault,
    ) -> None:
        """Bind the services to their surroundings.

        Args:
            database: where everything is kept.
            clock: the time.
            cloud: the living cloud.
            passwords: hashing and checking.
            after_commit: called after each committed change with the hosts to ring and changed topics.
            sessions: who is logged in here; told when accounts or projects change.
            vault: seals the secrets that must be opened again.
        """
        import core.services.registry  # noqa: F401  (declares all operations)

        self.database = database
        self.clock = clock
        self.cloud = cloud
        self.passwords = passwords
        self.vault = vault
        self._beginner: Beginner | None = None
        self._after_commit = after_commit
        self._sessions = sessions

    def begins_by(self, beginner: Beginner) -> None:
        """Who begins with tasks for this host at once; without one they are looked for."""
        self._beginner = beginner

    def call(self, name: str, arguments: dict[str, Any], actor: Actor, request: str) -> Answer:
        """Run an operation for a user.

        Args:
            name: the operation, ``noun.verb``.
            arguments: its arguments, JSON data, not trusted.
            actor: who calls; already authenticated.
            request: idempotency key; a change asked again under the same key happens once.

        Raises:
            DosvmError: whatever is wrong, in words for its reader.
        """
        operation = OPERATIONS.get(name)
        if operation is None:
            raise NotFound(N_("There is no operation {name}."), name=name)
        check_permission(operation, actor)
        try:
            checked = operation.check(arguments)
            if operation.writes:
                if not 1 <= len(request) <= 36:
                    raise InvalidInput(N_("A change needs a request key of 1 to 36 characters."), field="request")
                one = isinstance(arguments.get(operation.many), str)
                return self._change(operation, self._passwords_of(operation, checked, actor), actor, request, one=one)
            answer: Answer = self.database.read(lambda s: operation.function(self._call(s, actor), **checked))
            return answer
        except DosvmError as error:
            raise with_field(error) from error.__cause__

    def look(self, name: str, actor: Actor, work: Callable[[Call], Any]) -> Any:
        """Look at what an operation shows, as far as this user may, by other means than the operation itself.

        Raises:
            DosvmError: the user may not call the operation, or ``work`` says what is wrong.
        """
        check_permission(OPERATIONS[name], actor)
        return self.database.read(lambda session: work(self._call(session, actor)))

    def duty(self, work: Callable[[Call], T], actor: Actor = HOSTD) -> T:
        """Run a piece of hostd's own work as operations are run: in one transaction, then doorbells and news.

        Args:
            work: the piece.
            actor: for whom it is done.

        Raises:
            DosvmError: it cannot be done now.
        """
        calls: list[Call] = []

        def run(session: Session) -> T:
            call = self._call(session, actor)
            result = work(call)
            calls.append(call)
            return result

        result = self.database.write(run)
        if calls[-1].topics or calls[-1].rings:
            self._after_commit(calls[-1].rings, calls[-1].topics)
        return result

    def reading(self, work: Callable[[Call], T]) -> T:
        """As :meth:`duty`, for what changes nothing."""
        return self.database.read(lambda session: work(self._call(session, HOSTD)))

    def _call(self, session: Session, actor: Actor) -> Call:
        session.info[HIDES_TRASH] = True
        return Call(session, actor, self.clock, self.cloud, self.passwords, self.vault)

    def _change(
        self, operation: Operation, arguments: dict[str, Any], actor: Actor, request: str, *, one: bool
    ) -> Answer:
        beginner = self._beginner if operation.many and not one else None
        with beginner.entering() if beginner else nullcontext(), _Promises(self._beginner) as promises:
            return self._change_now(operation, arguments, actor, request, promises, one=one)

    def _change_now(
        self,
        operation: Operation,
        arguments: dict[str, Any],
        actor: Actor,
        request: str,
        promises: _Promises,
        *,
        one: bool,
    ) -> Answer:
        calls: list[Call] = []

        def work(session: Session) -> Answer:
            promises.anew()
            calls.clear()  # tasks of an attempt that was rolled back must never be begun
            call = self._call(session, actor)
            call.promise = promises.give
            done = operation.function(call, **arguments)
            if operation.many and not one:
                answer, rows = self._many(operation, call, done, request)
            else:
                answer = call.only(done) if operation.many else done
                target = call.target or str(arguments.get(operation.target or "", ""))
                # An edit that changes nothing is nothing to tell; asked again it changes nothing again.
                silent = operation.quiet or (call.unchanged and operation.edits)
                rows = [] if silent else [_log_row(operation, call, target, call.detail, answer, request)]
            session.flush()
            if rows:
                session.execute(_LOG, rows)
            calls.append(call)
            return answer

        try:
            answer = self.database.write(work)
        except Unavailable:
            # The connection may have broken during COMMIT: then nobody knows, until the log is asked.
            known = self._known(operation, actor, request) if calls else None
            if known is None:
                raise
            answer = known
        except (DosvmError, IntegrityError, NoResultFound) as error:
            # What cannot be done may have been done already, by this very request: its answer was lost.
            before = self._answered(operation, actor, request)
            if before is not None:
                return before
            if isinstance(error, DosvmError):
                raise
            raise overtaken() from error
        promises.begin(calls[-1].begun)
        if operation.quiet:
            return answer
        if operation.many and not one and all("error" in end for end in answer["each"]):
            # Refused may be what this very request has done already: its answer was lost.
            return self._answered(operation, actor, request) or answer
        topics = calls[-1].topics | {"log"}
        if self._sessions is not None and topics & PEOPLE:
            self._sessions.forget()
        self._after_commit(calls[-1].rings, topics)
        return answer

    def _passwords_of(self, operation: Operation, arguments: dict[str, Any], actor: Actor) -> dict[str, Any]:
        """Check and hash the passwords among the arguments: before the transaction, for it takes its time."""
        own = next(((n, v) for n, v in arguments.items() if isinstance(v, OwnPassword)), None)
        new = next(((n, v) for n, v in arguments.items() if isinstance(v, NewPassword)), None)
        if new is not None:
            with at_field(new[0]):
                names.password(new[1])
        rest = dict(arguments)
        if own is not None:
            confirm(self.database, self.clock, self.passwords, actor, *own)
            del rest[own[0]]
        if new is not None:
            if own is not None and operation.name == FIRST_STEP and str(own[1]) == str(new[1]):
                raise InvalidInput(N_("The new password is the old one."), field=new[0])
            rest[new[0]] = NewPassword(self.passwords.hash(new[1]))
        return rest

    def _many(
        self, operation: Operation, call: Call, outcomes: list[Outcome], request: str
    ) -> tuple[Answer, list[dict[str, Any]]]:
        """The answer to a call about many objects, and a row of the log for each that was changed.

        The first row has the request's key and the whole answer, by which a repeated request is answered.
        """
        each = [o.answer if o.error is None else {"error": with_field(o.error).to_wire()} for o in outcomes]
        answer: Answer = {"each": each}
        rows: list[dict[str, Any]] = []
        for outcome in outcomes:
            if outcome.error is None:
                key = str(uuid5(_EACH, f"{request}/{len(rows)}")) if rows else request
                told = outcome.answer if rows else answer
                rows.append(_log_row(operation, call, outcome.target, outcome.detail, told, key))
        return answer, rows

    def _known(self, operation: Operation, actor: Actor, request: str) -> Answer | None:
        """As :meth:`_answered`, but None as well while the database cannot tell."""
        try:
            return self._answered(operation, actor, request)
        except Unavailable:
            return None

    def _answered(self, operation: Operation, actor: Actor, request: str) -> Answer | None:
        """The answer that a change under this request key was given before."""

        def find(session: Session) -> OperationLog | None:
            return session.scalar(select(OperationLog).where(OperationLog.request == request))

        before = self.database.read(find)
        if before is None or before.operation != operation.name or before.account != actor.account:
            return None
        answer: Answer = json.loads(before.result)
        return answer


class _Promises:
    """What was promised to one change (see :class:`Beginner`): kept once that is committed, taken back if it fails."""

    def __init__(self, beginner: Beginner | None) -> None:
        self._beginner = beginner
        self._given = 0

    def give(self, host_id: int, target: str) -> str:
        """See :meth:`Beginner.promise`."""
        claim = self._beginner.promise(host_id, target) if self._beginner is not None else ""
        self._given += bool(claim)
        return claim

    def begin(self, tasks: list[Claimed]) -> None:
        """The change is committed."""
        if self._beginner is not None and tasks:
            self._beginner.begin(tasks)

    def anew(self) -> None:
        """The change is tried once more: nothing of it was entered."""
        self._release(unsure=False)

    def _release(self, *, unsure: bool) -> None:
        if self._beginner is not None and self._given:
            self._beginner.release(self._given, unsure=unsure)
        self._given = 0

    def __enter__(self) -> _Promises:
        return self

    def __exit__(self, kind: object, error: BaseException | None, _trace: object) -> None:
        # The connection may have broken during COMMIT: then nobody knows what was entered.
        known = error is None or (isinstance(error, DosvmError) and not isinstance(error, Unavailable))
        self._release(unsure=not known)


def _log_row(
    operation: Operation, call: Call, target: str, detail: Mapping[str, Any], answer: Answer, request: str
) -> dict[str, Any]:
    return {
        "at": call.clock.now(),
        "account": call.actor.account,
        "address": call.actor.address,
        "action": operation.action or "",
        "operation": operation.name,
        "target": target[:255],
        "detail": json.dumps(detail, ensure_ascii=False, default=str) if detail else "",
        "request": request,
        "result": json.dumps(answer, ensure_ascii=False, default=str),
    }


def check_permission(operation: Operation, actor: Actor) -> None:
    """Refuse who is not named by the operation; deny by default.

    Raises:
        PermissionDenied: the role may not, or the project is deactivated.
        PasswordChangeRequired: the first password is still in use.
    """
    if actor.must_change_password and operation.name != FIRST_STEP:
        raise PasswordChangeRequired(
            N_("The password must be changed first."), remedy=N_("Use `dosvm profile change-password`.")
        )
    if actor.role not in operation.roles:
        raise PermissionDenied(
            N_("{account} may not do this: the system administrator may.")
            if operation.roles == SYSTEM_ADMIN
            else N_("{account} may not do this: project administrators may."),
            account=actor.account,
        )
    if actor.is_sysadm or operation.idle_project:
        return
    if actor.project_id is None:
        raise PermissionDenied(N_("You manage no project yet."), remedy=N_("Ask the system administrator for one."))
    if not actor.project_active:
        raise PermissionDenied(
            N_("The project is deactivated."), remedy=N_("Ask the system administrator to activate it.")
        )
