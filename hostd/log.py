"""The daemon's log: one line per event, ``key=value``, to the screen or to a file."""

from __future__ import annotations

import logging
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_SAFE = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/@+-,%")


def fields(**values: Any) -> str:
    """``key=value`` pairs; a value with anything unusual in it is quoted, line breaks are escaped."""
    return " ".join(f"{key}={_quoted(value)}" for key, value in values.items() if value is not None)


def _quoted(value: Any) -> str:
    text = str(value)
    if text and all(c in _SAFE for c in text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in escaped)
    return f'"{escaped}"'


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        line = f"{at} {record.levelname.lower():7} {record.name.removeprefix('hostd.')}: {record.getMessage()}"
        if record.exc_info:
            # One line per event: the innermost frames are enough to find the place.
            trace = self.formatException(record.exc_info)
            line += "\n" + "\n".join(f"    {part}" for part in trace.splitlines())
        return line


def configure(path: Path | None, *, verbose: bool = False) -> None:
    """Send the log of the whole process to a file, or to standard error when ``path`` is None.

    Raises:
        OSError: the file cannot be opened.
    """
    handler: logging.Handler
    if path is None:
        handler = logging.StreamHandler(sys.stderr)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(_Line())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("hostd").setLevel(logging.DEBUG if verbose else logging.INFO)


class Throttled:
    """Says the same thing at most once a minute, and then how often it happened."""

    def __init__(self, logger: logging.Logger, *, every: float = 60.0) -> None:
        self._logger = logger
        self._every = every
        self._guard = threading.Lock()
        self._last: dict[str, tuple[float, int]] = {}

    def warning(self, key: str, message: str, **values: Any) -> None:
        """Log a warning, unless one with this key was logged a moment ago."""
        now = time.monotonic()
        with self._guard:
            said, hidden = self._last.get(key, (-self._every, 0))
            if now - said < self._every:
                self._last[key] = (said, hidden + 1)
                return
            if len(self._last) > 1000:
                self._last.clear()
            self._last[key] = (now, 0)
        self._logger.warning("%s %s", message, fields(**values, repeated=hidden or None))

    def clear(self, key: str) -> None:
        """Forget a key: the trouble is over, the next one is news."""
        with self._guard:
            self._last.pop(key, None)
