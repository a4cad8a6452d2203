"""What a person chose for the console; the cloud keeps it with the account, a file keeps it for before the login.

The file says how this person's console looked last on this machine: before the login nobody knows yet who it is, and
an account that never chose anything in the cloud takes over what it had chosen here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.i18n import LANGUAGES
from core.merge_patch import difference, merged
from themes import THEMES

#: Seconds between two renewals of charts when nothing else was chosen.
CHART_INTERVAL = 5.0
#: Where details may stand beside a list.
PANES = ("auto", "below", "right", "off")
#: In the file, what was chosen last by whomever.
_LAST = ""


def settings_path() -> Path:
    """The file they are kept in (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "dosvm" / "console.json"


@dataclass
class Settings:
    """One person's settings. Empty texts mean: nothing was chosen.

    Attributes:
        theme, language: names of a theme and a language.
        chart_interval: seconds between two renewals of charts.
        pane: where the details of the row under the cursor stand, one of :data:`PANES`.
        folded: whether the second-level menu is folded away where there is room for it.
        lists: resource -> its columns and order (see :mod:`screens.generic.list_view`).
        account: whose they are; empty before the login.
        path: the file.
        on_change: told when there is something to tell the cloud (:meth:`change`).
    """

    theme: str = ""
    language: str = ""
    chart_interval: float = CHART_INTERVAL
    pane: str = PANES[0]
    folded: bool = False
    lists: dict[str, dict[str, Any]] = field(default_factory=dict)
    account: str = ""
    path: Path | None = None
    on_change: Callable[[], None] | None = None
    _kept: dict[str, Any] = field(default_factory=dict)
    _found: dict[str, str] = field(default_factory=dict)

    def recall(self) -> None:
        """Before the login: the looks and the language last chosen on this machine."""
        self._take(self._read().get(_LAST))
        self._found = self._looks()

    def load(self, account: str, kept: Any = None) -> None:
        """Take what this account chose; what it did not choose is as usual, whoever was here before.

        Colours and language that were chosen at the login a moment ago count as this person's choice.

        Args:
            account: the account.
            kept: what the cloud keeps of it.
        """
        fresh = {key: value for key, value in self._looks().items() if value != self._found.get(key)}
        self.forget()
        self.account = account
        self._kept = dict(kept) if isinstance(kept, Mapping) else {}
        self._take({**(self._kept or _object(self._read().get(account))), **fresh})
        if self.on_change is not None and self.change():
            self.on_change()

    def forget(self) -> None:
        """Nobody is logged in any more."""
        self._found = self._looks()
        self.account, self._kept = "", {}
        self.theme = self.language = ""
        self.chart_interval, self.pane, self.folded, self.lists = CHART_INTERVAL, PANES[0], False, {}

    def _looks(self) -> dict[str, str]:
        return {key: value for key, value in (("theme", self.theme), ("language", self.language)) if value}

    def _take(self, own: Any) -> None:
        own = _object(own)
        if own.get("theme") in list(THEMES):
            self.theme = own["theme"]
        if own.get("language") in list(LANGUAGES):
            self.language = own["language"]
        if own.get("pane") in PANES:
            self.pane = own["pane"]
        interval = own.get("chart_interval")
        if isinstance(interval, int | float) and 1 <= interval <= 3600:
            self.chart_interval = float(interval)
        self.folded = own.get("folded") is True
        lists = own.get("lists")
        if isinstance(lists, Mapping):
            self.lists = {str(name): dict(view) for name, view in lists.items() if isinstance(view, Mapping)}

    def _data(self) -> dict[str, Any]:
        """What was chosen, as it is kept; what was left alone is not."""
        data: dict[str, Any] = dict(self._looks())
        if self.chart_interval != CHART_INTERVAL:
            data["chart_interval"] = self.chart_interval
        if self.pane != PANES[0]:
            data["pane"] = self.pane
        if self.folded:
            data["folded"] = True
        if self.lists:
            data["lists"] = self.lists
        return data

    def change(self) -> dict[str, Any]:
        """What the cloud does not know yet, as a JSON Merge Patch; empty when it knows all."""
        ours = self._data()
        # Keys of a newer console are none of ours to take away.
        return difference({key: value for key, value in self._kept.items() if key in _OURS}, ours)

    def sent(self, patch: Mapping[str, Any]) -> None:
        """The cloud has taken a change."""
        self._kept = json.loads(json.dumps(merged(self._kept, patch)))

    def save(self) -> None:
        """Keep them; when the disk refuses, they last as long as the console, or the account in the cloud."""
        if self.account and self.on_change is not None:
            self.on_change()
        if self.path is None or not self.account:
            return
        everybody = self._read()
        everybody[self.account] = self._data()
        everybody[_LAST] = self._looks()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            new = self.path.with_suffix(".new")
            new.write_text(json.dumps(everybody, indent=1), encoding="utf-8")
            new.replace(self.path)
        except OSError:
            return

    def _read(self) -> dict[str, Any]:
        if self.path is None:
            return {}
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return data if isinstance(data, dict) else {}


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


#: The keys that this console understands.
_OURS = frozenset({"theme", "language", "chart_interval", "pane", "folded", "lists"})
