"""QEMU's lock on an image, said in plain words: a VM does not start while another program has its disk open."""

from __future__ import annotations

from collections.abc import Iterable

from core.errors import EngineError
from core.i18n import N_

#: QEMU's words (its block/file-posix.c).
_LOCKED = ("lock\nIs another process", 'Failed to get "', 'Failed to get shared "')
_LOCK = " lock"


def explain(error: EngineError, files: Iterable[tuple[str, str]]) -> None:
    """Say which file somebody else has open when that is why a start failed; nothing otherwise.

    Args:
        error: libvirt's.
        files: the VM's: each by the name that people know, and its path.

    Raises:
        EngineError: names it. As before, the start may be tried again: who has it open may be ending.
    """
    said = str(error.parameters.get("reason", ""))
    if _LOCK not in said or not any(words in said for words in _LOCKED):
        return
    known = list(files)
    named = [(name, path) for name, path in known if f"[{path}]" in said] or known
    raise EngineError(
        N_("Another program, on this host or another one, has a disk of the VM open: {disks}."),
        remedy=N_("Find it by `fuser -v {path}`, and end it; then start the VM again."),
        disks="; ".join(f"{name} ({path})" for name, path in named),
        path=named[0][1] if named else "",
    ) from error
