"""Who did what, and who logged in (manual 13.1)."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import select

from core.model import LoginLog, OperationLog
from core.services.listing import Query, answer, contains, iso, listing, moment
from core.services.operation import SYSTEM_ADMIN, Answer, Call, operation


def _told(detail: str) -> str:
    """A log row's detail for people: ``max_vcpus: 0 → 4; ...``."""
    if not detail:
        return ""
    data: dict[str, Any] = json.loads(detail)
    changes = data.pop("changes", {})
    parts = [f"{key}: {_value(before)} → {_value(after)}" for key, (before, after) in changes.items()]
    parts += [f"{key}: {_value(value)}" for key, value in data.items() if key not in ("object", "version")]
    return "; ".join(parts)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value or "-"
    if isinstance(value, list):
        return ", ".join(_value(element) for element in value) or "-"
    return "-" if value is None else json.dumps(value, ensure_ascii=False)


def _filters(call: Call, table: Any) -> dict[str, Any]:
    return {
        "account": lambda value: contains(call, [table.account], str(value)),
        "since": lambda value: table.at >= moment(value),
        "until": lambda value: table.at < moment(value),
    }


@operation("log.list", roles=SYSTEM_ADMIN)
def list_(call: Call, *, query: Query) -> Answer:
    """Every change anybody made. ``name`` is what it was made to, ``uuid`` its request key."""
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
            "target": OperationLog.target,
        },
        tie=OperationLog.id,
        search=[OperationLog.account, OperationLog.operation, OperationLog.target, OperationLog.detail],
        filters={
            **_filters(call, OperationLog),
            "operation": lambda value: OperationLog.operation == value,
        },
    )
    return answer([_row(found.OperationLog) for found in rows], total)


def _row(log: OperationLog) -> dict[str, Any]:
    return {
        "uuid": log.request,
        "name": log.target,
        "at": iso(log.at),
        "account": log.account,
        "address": log.address,
        "action": log.action,
        "operation": log.operation,
        "target": log.target,
        "detail": _told(log.detail),
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
        tie=LoginLog.id,
        search=[LoginLog.account, LoginLog.address],
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
