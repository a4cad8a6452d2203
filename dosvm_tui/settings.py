"""What a person chose for the console: colours, language, how often charts are renewed. Kept per account."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.i18n import LANGUAGES
from themes import THEMES

#: Seconds between two renewals of charts when nothing else was chosen.
CHART_INTERVAL = 5.0


def settings_path() -> Path:
    """The file they are kept in (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "dosvm" / "console.json"


@dataclass
class Settings:
    """One person's settings. Empty texts mean: nothing was chosen."""

    theme: str = ""
    language: str = ""
    chart_interval: float = CHART_INTERVAL
    account: str = ""
    path: Path | None = None

    def load(self, account: str) -> None:
        """Take what this account chose before; whatever is missing or wrong in the file stays as it is."""
        self.account = account
        own = self._read().get(account)
        if not isinstance(own, dict):
            return
        if own.get("theme") in THEMES:
            self.theme = own["theme"]
        if own.get("language") in LANGUAGES:
            self.language = own["language"]
        interval = own.get("chart_interval")
        if isinstance(interval, int | float) and 1 <= interval <= 3600:
            self.chart_interval = float(interval)

    def save(self) -> None:
        """Keep them; when the disk refuses, they last as long as the console."""
        if self.path is None or not self.account:
            return
        everybody = self._read()
        everybody[self.account] = {
            "theme": self.theme,
            "language": self.language,
            "chart_interval": self.chart_interval,
        }
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
