"""Starts that libvirtd has not answered: QEMU may still come up here, so the VM may be started nowhere else.

Each is noted in a file right before libvirtd is asked, so that the next hostd knows of it when one is killed meanwhile.
The note goes when libvirtd has answered. What a reboot of the machine finds there is over.
"""

from __future__ import annotations

import threading
from pathlib import Path

from core.rules.names import is_uuid


class Starts:
    """The starts of this host that libvirtd has not answered yet."""

    def __init__(self, directory: Path, boot: str) -> None:
        """``directory`` is for the notes alone; ``boot`` is the kernel's identity of this boot."""
        self._directory = directory
        self._boot = boot
        self._guard = threading.Lock()
        self._open: dict[str, int] = {}
        for note in directory.iterdir() if directory.exists() else ():
            words = note.read_text(encoding="utf-8", errors="replace").split() if is_uuid(note.name) else []
            if len(words) == 2 and words[0] == boot and words[1].isdigit():
                self._open[note.name] = int(words[1])
            else:
                note.unlink()

    def begin(self, uuid: str, epoch: int) -> bool:
        """Note that libvirtd is asked to start a VM under a placement; whether an earlier start is not answered yet."""
        with self._guard:
            earlier = uuid in self._open
            self._directory.mkdir(parents=True, exist_ok=True)
            (self._directory / uuid).write_text(f"{self._boot} {epoch}\n", encoding="utf-8")
            self._open[uuid] = epoch
            return earlier

    def answered(self, uuid: str) -> None:
        """It is known what became of the start of a VM."""
        with self._guard:
            if self._open.pop(uuid, None) is not None:
                (self._directory / uuid).unlink(missing_ok=True)

    def open(self, uuid: str) -> int | None:
        """The placement of a VM's start that is not answered; None when there is none."""
        return self._open.get(uuid)
