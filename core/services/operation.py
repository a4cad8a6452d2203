"""Operations: the only way anything in the cloud is read or changed by a person.

A service function becomes an operation by its declaration::

    @operation("vm.start", roles=PROJECT_ADMIN, action=N_("Start"), target="vm")
    def start(call: Call, *, vm: str, host: str = "") -> Answer: ...

The declaration says who may call it; whoever is not named may not. Its keyword parameters are its
arguments, checked against their annotations. An operation with an ``action`` changes something: it
runs in a write transaction, which also holds its row in the operation log. Object-level rights are the
loaders' (:mod:`core.services.lookup`): they find only what belongs to the caller.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from sqlalchemy.orm import Session

from core.clock import Clock
from core.coordination.tasks import Claimed
from core.errors import DosvmError, InvalidInput
from core.i18n import N_
from core.model import Project, Role, in_trash
from core.rules.many import AT_ONCE
from core.services.actor import Actor
from core.services.cloud import Cloud

if TYPE_CHECKING:
    from core.security.passwords import Passwords
    from core.security.vault import Vault

#: Result of an operation: JSON data, an object at its top.
Answer = dict[str, Any]
#: Whose doorbells ring: host id -> the tasks that were entered for it, or None when it must look for itself.
Rings = dict[int, list[Claimed] | None]
F = TypeVar("F", bound=Callable[..., "Answer | list[Outcome]"])

SYSTEM_ADMIN = frozenset({Role.SYSADM})
PROJECT_ADMIN = frozenset({Role.PROJECT})
EVERYBODY = frozenset(Role)

#: Longest text an argument may hold, in characters (custom XML is the longest).
MAX_TEXT = 65536


class OwnPassword(str):
    """An argument: the caller's own password, asked again. Checked before the operation's transaction begins."""

    __slots__ = ()


class Many(list[str]):
    """An argument: references to the objects acted on. A caller gives one, or a list of up to ``AT_ONCE``.

    The operation answers with an :class:`Outcome` for each, in their order. Asked for one, it is as any other operation
    to its caller; asked for a list, what is refused is told in its place and the others are done, in one transaction.
    """

    __slots__ = ()


@dataclass(frozen=True)
class Outcome:
    """How it went with one of many objects: what was done, and what the log says of it; or why it was not."""

    answer: dict[str, Any] = field(default_factory=dict)
    error: DosvmError | None = None
    target: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


class NewPassword(str):
    """An argument: somebody's new password. The operation is handed its hash, never the password."""

    __slots__ = ()


class Beginner(Protocol):
    """The part of hostd that works on tasks: one for its own host it may begin with as soon as it is committed."""

    def promise(self, host_id: int, target: str) -> str:
        """The claim under which a task may be entered as begun, when nothing is in its way; else nothing.

        Each promise ends by :meth:`release`.
        """

    def begin(self, tasks: Sequence[Claimed]) -> None:
        """Begin with tasks that are committed."""

    def entering(self) -> AbstractContextManager[None]:
        """A change about many objects is being made: what takes the processors for long may begin after it."""

    def release(self, promises: int, *, unsure: bool) -> None:
        """The promises are over: tasks were begun with, or never entered; or nobody knows (``unsure``)."""


@dataclass
class Call:
    """What an operation is handed: its transaction, its caller, and what to do once it is committed."""

    session: Session
    actor: Actor
    clock: Clock
    cloud: Cloud
    passwords: Passwords
    vault: Vault
    target: str = ""
    detail: dict[str, Any] = field(default_factory=dict)
    rings: Rings = field(default_factory=dict)
    promise: Callable[[int, str], str] = lambda _host_id, _target: ""
    """See :meth:`Beginner.promise`."""
    begun: list[Claimed] = field(default_factory=list)
    """Tasks that were entered as begun."""
    topics: set[str] = field(default_factory=set)
    unchanged: bool = False
    """What was to be edited is so already."""

    @cached_property
    def trashed_projects(self) -> list[int]:
        """The ids of the projects in the trash when it was first asked: few, mostly none.

        Numbers in a statement cost nothing and leave the engines their index; a subquery makes MariaDB sort the table.
        """
        return list(self.session.scalars(in_trash(Project)))

    def only(self, outcomes: Sequence[Outcome]) -> Answer:
        """What one object's outcome is to a caller who asked for one: its answer, and what the log says of it.

        Raises:
            DosvmError: why it was not done.
        """
        (outcome,) = outcomes
        if outcome.error is not None:
            raise outcome.error
        self.note(outcome.target, **outcome.detail)
        return outcome.answer

    def note(self, target: str, **detail: Any) -> None:
        """Say for the operation log what was changed, and how. Never a secret."""
        self.target = target
        self.detail.update(detail)

    def ring(self, host_id: int, task: Claimed | None = None) -> None:
        """Tell this host's hostd, once committed, that there is a task for it; which, when there is just this one."""
        known = self.rings.setdefault(host_id, [])
        if task is None:
            self.rings[host_id] = None
        elif known is not None:
            known.append(task)

    def changed(self, *topics: str) -> None:
        """Tell watchers, once committed, that rows of these kinds changed (``vm``, ``pool``, ...)."""
        self.topics.update(topics)


@dataclass(frozen=True)
class Operation:
    """One entry of the table of operations."""

    name: str
    function: Callable[..., Any]
    roles: frozenset[Role]
    action: str | None
    target: str | None
    idle_project: bool
    parameters: Mapping[str, Any]
    required: frozenset[str]
    lists: type[Any] | None = None
    """For a list operation the class of its ``query`` parameter, whose fields are arguments of their own."""
    quiet: bool = False
    """A change that concerns its caller alone: no row in the operation log, no news for others."""
    many: str = ""
    """The parameter that is :class:`Many`, if there is one."""

    @property
    def writes(self) -> bool:
        """Whether it changes something."""
        return self.action is not None or self.quiet

    @property
    def edits(self) -> bool:
        """Whether all it does is to change what is said of something."""
        return self.name.endswith((".edit", ".configure"))

    def check(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments, when their names and types are right.

        Raises:
            InvalidInput: one is unknown, missing or of the wrong type; names it.
        """
        for name in arguments:
            if name not in self.parameters:
                raise InvalidInput(N_("{field} is not a field of this operation."), field=name)
        for name in self.required:
            if name not in arguments:
                raise InvalidInput(N_("{field} is missing."), field=name)
        checked = {name: _checked(name, value, self.parameters[name]) for name, value in arguments.items()}
        if self.lists is None:
            return checked
        own = {f.name for f in dataclasses.fields(self.lists)}
        query = self.lists(**{name: value for name, value in checked.items() if name in own})
        return {"query": query, **{name: value for name, value in checked.items() if name not in own}}


OPERATIONS: dict[str, Operation] = {}


def operation(
    name: str,
    *,
    roles: frozenset[Role],
    action: str | None = None,
    target: str | None = None,
    idle_project: bool = False,
    confirm: str = "",
    quiet: bool = False,
) -> Callable[[F], F]:
    """Declare an operation.

    Args:
        name: ``noun.verb``.
        roles: who may call it; nobody else may.
        action: for a change, what the operation log calls it; None for a read.
        target: the parameter that names the object acted on, when there is one.
        idle_project: whether admins of a deactivated project may still call it.
        confirm: name of an argument that is not the function's but asked for with it: the caller's own
            password, checked before the transaction.
        quiet: a change that concerns its caller alone and may be repeated: it is not logged, and nobody is told.
    """

    def declare(function: F) -> F:
        if name in OPERATIONS:
            raise ValueError(f"operation {name} is declared twice")
        hints = typing.get_type_hints(function)
        signature = list(inspect.signature(function).parameters.values())[1:]
        lists = hints["query"] if any(p.name == "query" for p in signature) else None
        parameters = {p.name: hints[p.name] for p in signature if p.name != "query"}
        if lists is not None:
            parameters |= typing.get_type_hints(lists)
        if confirm:
            parameters[confirm] = OwnPassword
        OPERATIONS[name] = Operation(
            name=name,
            function=function,
            roles=roles,
            action=action,
            target=target,
            idle_project=idle_project,
            parameters=parameters,
            required=frozenset(p.name for p in signature if p.default is inspect.Parameter.empty and p.name != "query")
            | ({confirm} if confirm else set()),
            lists=lists,
            quiet=quiet,
            many=next((key for key, hint in parameters.items() if hint is Many), ""),
        )
        return function

    return declare


def _checked(name: str, value: Any, hint: Any) -> Any:
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        options = typing.get_args(hint)
        if value is None and type(None) in options:
            return None
        return _checked(name, value, next(o for o in options if o is not type(None)))
    origin = typing.get_origin(hint) or hint
    if origin in (OwnPassword, NewPassword):
        return origin(_checked(name, value, str))
    if origin is Many:
        if isinstance(value, str):
            return Many([_checked(name, value, str)])
        several = _checked(name, value, list[str])
        if not 1 <= len(several) <= AT_ONCE:
            raise InvalidInput(N_("One call is about 1 to {limit} objects."), field=name, limit=AT_ONCE)
        return Many(several)
    if origin is Any:
        return _storable(name, value)
    if origin is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, origin) or (origin is int and isinstance(value, bool)):
        raise InvalidInput(N_("{field} has the wrong type."), field=name)
    if origin is list:
        (item,) = typing.get_args(hint) or (Any,)
        return [_checked(name, element, item) for element in value]
    return _storable(name, value)


def _storable(name: str, value: Any) -> Any:
    """JSON data that the database can hold, however nested."""
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise InvalidInput(N_("{field} is longer than {limit} characters."), field=name, limit=MAX_TEXT)
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise InvalidInput(N_("{field} is not valid text."), field=name)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise InvalidInput(N_("{field} is out of range."), field=name)
    elif isinstance(value, dict):
        for key, element in value.items():
            _storable(name, key)
            _storable(name, element)
    elif isinstance(value, list):
        for element in value:
            _storable(name, element)
    return value


def with_field(error: DosvmError) -> DosvmError:
    """Give the sentence of a field's error the field's name as a parameter, for those that speak of it."""
    if error.field:
        error.parameters.setdefault("field", error.field)
    return error
