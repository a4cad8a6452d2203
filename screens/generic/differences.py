"""What two people changed of one object, and about what the second must decide."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.i18n import N_, _
from screens.generic.fields import HIDDEN, said
from screens.spec import Field, Kind, Row
from screens.values import show

#: Who changed a key last, as :func:`core.services.editing.check_version` says it: ``who`` and ``at``.
Changes = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Difference:
    """A field that somebody else changed: what it was, theirs, and mine (what it was, unless ``touched``).

    ``hidden``: values in it that nobody is shown and both changed, by their keys in :data:`Changes`, with who did.
    """

    field: Field
    before: Any
    theirs: Any
    mine: Any
    touched: bool
    hidden: Mapping[str, Mapping[str, str]]

    def said(self, value: Any) -> str:
        """One of the three in words; of a value that nobody is shown only that it is there."""
        return HIDDEN if self.field.kind is Kind.SECRET else said(self.field, value)

    @property
    def said_theirs(self) -> str:
        """Theirs in words, with who changed when what nobody is shown."""
        if self.field.kind is Kind.SECRET:
            return ", ".join(_by(hand) for hand in self.hidden.values())
        parts = [f"{_secret_of(self.field, key)}: {_by(hand)}" for key, hand in self.hidden.items()]
        return "; ".join([said(self.field, self.theirs), *parts])


def same(one: Any, other: Any) -> bool:
    """Whether two values of a field mean the same: nothing may be said in several ways."""
    return one == other or (_is_nothing(one) and _is_nothing(other))


def _is_nothing(value: Any) -> bool:
    return value is None or value is False or value in ("", [])


def differences(
    fields: Sequence[Field],
    before: Mapping[str, Any],
    theirs: Mapping[str, Any],
    mine: Mapping[str, Any],
    changed: Changes | None = None,
) -> list[Difference]:
    """The fields about which one must decide.

    Not those that both changed to the same value. Nobody sees what a secret is: one must decide about those that both
    changed, and about no others.

    Args:
        fields: of the form.
        before: the object as both began with it.
        theirs: the object as it is now.
        mine: what was changed in the form.
        changed: who changed what meanwhile; None when nobody knows, and anything may have been.
    """
    found = []
    for one in fields:
        old, new = before.get(one.key), theirs.get(one.key)
        touched = one.key in mine
        own = mine.get(one.key, old)
        hidden = _hidden(one, old, own, changed) if touched else {}
        if hidden or (not same(old, new) and not (touched and same(own, new))):
            found.append(Difference(one, old, new, own, touched, hidden))
    return found


def _hidden(one: Field, before: Any, mine: Any, changed: Changes | None) -> dict[str, Mapping[str, str]]:
    """The secrets in a field that I changed as well as somebody else, or perhaps somebody else."""
    if one.kind is Kind.SECRET:
        keys = [one.key] if mine else []
    elif one.kind is Kind.ROWS and one.row_key:
        keys = list(_secrets_changed(one, before or [], mine or []))
    else:
        keys = []
    if changed is None:
        return {key: {} for key in keys}
    return {key: changed[key] for key in keys if key in changed}


def _secrets_changed(one: Field, before: Sequence[Row], mine: Sequence[Row]) -> Iterator[str]:
    """The keys of the secrets that rows of mine set or remove, or that go with rows which mine have no more."""
    for inner in one.fields:
        if inner.kind is Kind.SECRET:
            own = {row.get(one.row_key): row for row in mine}
            for name in dict.fromkeys([*(row.get(one.row_key) for row in before), *own]):
                row = own.get(name)
                if row is None or row.get(inner.key) or row.get(f"clear_{inner.key}"):
                    yield f"{one.key}.{name}.{inner.key}"


def _secret_of(one: Field, key: str) -> str:
    """What a secret in a row is called: by its row, and its field there."""
    _whole, name, inner = key.split(".")
    of = {each.key: each for each in one.fields}
    return f"{show(name, of[one.row_key].kind, dict(of[one.row_key].choices))} {_(of[inner].label)}"


def _by(hand: Mapping[str, str]) -> str:
    if not hand:
        return _(N_("perhaps changed"))
    return _(N_("changed by {who}, {time}")).format(who=hand["who"], time=show(hand["at"], Kind.TIME))


def kept(found: Sequence[Difference], mine: Mapping[str, Any], chosen: Collection[str]) -> dict[str, Any]:
    """What stays in the form: all that only I changed, and of the rest what was chosen to be mine."""
    decided = {one.field.key for one in found}
    own = {key: value for key, value in mine.items() if key not in decided}
    return own | {one.field.key: one.mine for one in found if one.field.key in chosen}
