"""Who did what, and who logged in (manual 13.1)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import and_, select

from core.coordination import log_names
from core.model import LoginLog, OperationLog, Task, TaskState
from core.services.listing import Condition, Query, answer, contains, iso, listing, moment
from core.services.operation import SYSTEM_ADMIN, Answer, Call, operation
from core.services.paging import Common, Either, Fits
from core.services.reverting import can_be_reverted

#: A text that is in more names than this is taken to be in very many rows.
_NAMES = 2000
#: Up to so many names, each is looked for by itself: its rows lie together, in the order of time.
_APART = 8
#: Of several tasks, how an operation stands as a whole.
_WORST_FIRST = tuple(
    state.value
    for state in (TaskState.FAILED, TaskState.RUNNING, TaskState.QUEUED, TaskState.CANCELLED, TaskState.DONE)
)


#: What of a detail is for programs: which object that was, and what an edit put back.
_PROGRAMS = frozenset({"object", "version", "edit", "changes"})


def _contents(operation: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """A log row's detail, to be told in the reader's words: by which operation, what changed, and what else there is.

    ``changes`` is key -> [before, after]; keys are those of the operation's arguments and rows.
    """
    return {
        "operation": data.get("edit", operation),
        "changes": data.get("changes", {}),
        "values": {key: value for key, value in data.items() if key not in _PROGRAMS},
    }


def _told(contents: Mapping[str, Any]) -> str:
    """A log row's contents as programs and greps read them: ``max_vcpus: 0 → 4; ...``."""
    parts = [f"{key}: {_value(before)} → {_value(after)}" for key, (before, after) in contents["changes"].items()]
    parts += [f"{key}: {_value(value)}" for key, value in contents["values"].items()]
    return "; ".join(parts)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value or "-"
    if isinstance(value, list):
        return ", ".join(_value(element) for element in value) or "-"
    return "-" if value is None else json.dumps(value, ensure_ascii=False)


def _named(call: Call, log: Any, columns: tuple[Any, ...], text: str) -> Fits:
    """The condition that one of a log's columns has a text in it, found by the names that the log speaks of."""
    names = log_names.fitting(call.session, columns, text, _NAMES)
    if names is None:
        return Common(contains(call, columns, text))
    young = and_(log_names.younger(call.session, log), contains(call, columns, text))
    return Either((*log_names.among(names, _APART), young))


def _filters(call: Call, table: Any) -> dict[str, Condition]:
    return {
        "account": lambda value: _named(call, table, (table.account,), str(value).strip()),
        "since": lambda value: table.at >= moment(value),
        "until": lambda value: table.at < moment(value),
    }


@operation("log.list", roles=SYSTEM_ADMIN)
def list_(call: Call, *, query: Query) -> Answer:
    """Every change anybody made. ``name`` is what it was made to, ``uuid`` its request key.

    ``contents`` is what it changed, ``detail`` the same as one text; ``revertible``: an edit that can be
    taken back.
    ``kind`` says what that is, as operations' names begin; ``end`` how the tasks that it led to stand: a task's state,
    the worst of several, or empty when there were none or they are no longer on record.
    """
    rows, total = listing(
        call,
        select(OperationLog),
        query,
        columns={
            "at": OperationLog.at,
            "account": OperationLog.account,
            "address": OperationLog.address,
            "action": OperationLog.action,
            "operation": OperationLog.operation,
            # What operations' names begin with: its index keeps them together.
            "kind": OperationLog.operation,
            "target": OperationLog.target,
        },
        tie=(OperationLog.at, OperationLog.id),
        search=lambda text: _named(call, OperationLog, log_names.SEARCHED[OperationLog], text),
        filters={
            **_filters(call, OperationLog),
            "action": lambda value: OperationLog.action == value,
            "operation": lambda value: OperationLog.operation == value,
        },
    )
    logs = [found.OperationLog for found in rows]
    ends = _ends(call, logs)
    return answer([_row(log, ends.get(log.id, "")) for log in logs], total)


def _ends(call: Call, logs: Sequence[OperationLog]) -> dict[int, str]:
    """How the tasks of log rows stand: a row's id -> state."""
    tasks = {log.id: _tasks(log.result) for log in logs}
    wanted = {uuid for row in tasks.values() for uuid in row}
    if not wanted:
        return {}
    found_tasks = call.session.execute(select(Task.uuid, Task.state).where(Task.uuid.in_(wanted)))
    states = {task.uuid: task.state for task in found_tasks}
    found = {row: {states[uuid] for uuid in uuids if uuid in states} for row, uuids in tasks.items()}
    return {row: next(state for state in _WORST_FIRST if state in some) for row, some in found.items() if some}


def _tasks(result: str) -> list[str]:
    """The tasks that an operation's recorded answer speaks of."""
    if '"task' not in result:
        return []
    told: dict[str, Any] = json.loads(result)
    # The first row of a call for many objects has the answers of all; its own is the first that succeeded.
    told = next((each for each in told.get("each", ()) if "error" not in each), told)
    return [uuid for uuid in (told.get("task"), *(told.get("tasks") or ())) if uuid]


def _row(log: OperationLog, end: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(log.detail) if log.detail else {}
    contents = _contents(log.operation, data)
    return {
        "uuid": log.request,
        "name": log.target,
        "at": iso(log.at),
        "account": log.account,
        "address": log.address,
        "action": log.action,
        "operation": log.operation,
        "kind": log.operation.partition(".")[0],
        "target": log.target,
        "end": end,
        "detail": _told(contents),
        "contents": contents,
        "revertible": can_be_reverted(log.operation, data),
    }


@operation("login-log.list", roles=SYSTEM_ADMIN)
def logins(call: Call, *, query: Query) -> Answer:
    """Every login, right or wrong. ``name`` is the account, ``uuid`` the row's number."""
    rows, total = listing(
        call,
        select(LoginLog),
        query,
        columns={
            "at": LoginLog.at,
            "account": LoginLog.account,
            "address": LoginLog.address,
            "outcome": LoginLog.outcome,
        },
        tie=(LoginLog.at, LoginLog.id),
        search=lambda text: _named(call, LoginLog, log_names.SEARCHED[LoginLog], text),
        filters={**_filters(call, LoginLog), "outcome": lambda value: LoginLog.outcome == value},
    )
    return answer(
        [
            {
                "uuid": str(log.id),
                "name": log.account,
                "at": iso(log.at),
                "account": log.account,
                "address": log.address,
                "outcome": log.outcome,
            }
            for log in (found.LoginLog for found in rows)
        ],
        total,
    )
