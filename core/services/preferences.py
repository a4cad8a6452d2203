"""What a person chose for the console: kept with the account, so that it is the same at every host.

The cloud keeps a small JSON object and does not look into it: which keys mean what is the console's own matter.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.database import insert_new
from core.errors import InvalidInput
from core.i18n import N_
from core.merge_patch import merged
from core.model import Preference

#: Most characters that are kept for one person: the columns of some dozens of lists.
MOST = 16_384
#: How deep objects may lie in each other.
_DEPTH = 6


def preferences_of(session: Session, user_id: int) -> dict[str, Any]:
    """What a user chose; empty when nothing was."""
    kept = session.scalar(select(Preference.value).where(Preference.user_id == user_id))
    value = json.loads(kept) if kept else {}
    return value if isinstance(value, dict) else {}


def change_preferences(session: Session, user_id: int, text: str) -> dict[str, Any]:
    """Merge a change into what a user chose.

    Two consoles of one person may be open: each sends what was changed in it only, and neither undoes the other.

    Args:
        session: the transaction.
        user_id: whose they are.
        text: a JSON Merge Patch (RFC 7396): an object whose keys replace those there, null takes one away.

    Returns:
        All that is chosen now.

    Raises:
        InvalidInput: it is no JSON object, lies too deep, or there would be more than is kept.
    """
    patch = _object(text)
    insert_new(session, Preference, [{"user_id": user_id, "value": ""}])
    row = session.get_one(Preference, user_id, with_for_update=True)
    before = json.loads(row.value) if row.value else {}
    after: dict[str, Any] = merged(before, patch)
    value = json.dumps(after, ensure_ascii=False, separators=(",", ":"))
    if len(value) > MOST:
        raise InvalidInput(
            N_("There are more preferences than are kept ({limit} characters)."), field="preferences", limit=MOST
        )
    row.value = value
    return after


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or not _is_plain(value, _DEPTH):
        raise InvalidInput(N_("A JSON object is needed."), field="preferences")
    return value


def _no_constant(name: str) -> NoReturn:
    """NaN and infinities are not JSON, though Python reads them."""
    raise ValueError(name)


def _is_plain(value: Any, depth: int) -> bool:
    """Whether a value can be kept in every database and said again in JSON."""
    if isinstance(value, dict):
        return depth > 0 and all(_is_plain(key, 1) and _is_plain(item, depth - 1) for key, item in value.items())
    if isinstance(value, list):
        return depth > 0 and all(_is_plain(item, depth - 1) for item in value)
    if isinstance(value, str):
        return not any("\ud800" <= character <= "\udfff" for character in value)
    return value is None or isinstance(value, bool) or (isinstance(value, int | float) and abs(value) < 2**63)
