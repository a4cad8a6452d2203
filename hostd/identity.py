"""Tells whether the hostd that had this host's row last was one of this very place.

The settings say which host this is, and settings are copied: with a file, with a directory, with a whole machine.
What is not copied along is where hostd's state directory lies, in this boot of this machine; the lock in it lets
one hostd run there at a time.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from core.errors import DosvmError
from core.i18n import N_

#: Runs that are remembered; the database may have been away from some of them.
_RUNS = 20


class Identity:
    """The runs of hostd in one state directory."""

    def __init__(self, state: Path, boot: str) -> None:
        """``boot`` identifies this run."""
        self.boot = boot
        self._state = state
        self._file = state / "runs.json"

    def earlier(self) -> set[str]:
        """The runs that were here before, since this machine was switched on. They have ended."""
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
            return set(found["runs"]) if found["place"] == self._place() else set()
        except (OSError, ValueError, KeyError, TypeError):
            return set()

    def remember(self) -> None:
        """Add this run, before it shows itself to others.

        Raises:
            DosvmError: it cannot be written.
        """
        runs = [*sorted(self.earlier() - {self.boot}), self.boot]
        draft = self._file.with_suffix(".new")
        try:
            draft.write_text(json.dumps({"place": self._place(), "runs": runs[-_RUNS:]}), encoding="utf-8")
            draft.replace(self._file)
        except OSError as error:
            raise DosvmError(
                N_("{path} cannot be used: {reason}."), path=str(self._file), reason=error.strerror or str(error)
            ) from error

    def _place(self) -> str:
        # Containers have the boot of their machine in common, and copies on one machine too: not the directory.
        status = os.stat(self._state)
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {status.st_dev}:{status.st_ino}"
