"""When a run of a domain ended, by the log that libvirt keeps of it: the witness when hostd was not there.

libvirt writes a line when it starts a domain and one when it has ended, QEMU one when a signal ends it, all with the
time by the wall clock in UTC.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

LOG_DIRECTORY = Path("/var/log/libvirt/qemu")
#: How much of the log's end is looked at, in bytes.
_TAIL = 256 * 1024
_STAMP = rb"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d\.\d{3})\d*(?:\+0000|Z)"
_LINE = re.compile(
    rb"^" + _STAMP + rb":? (?:(starting up)|(shutting down)(?:, reason=(\w+))?|\S+: (terminating on signal))",
    re.MULTILINE,
)
#: What libvirt says of a domain that it finds dead when it starts itself: the line is late then.
_FOUND_DEAD = frozenset({b"crashed", b"unknown", b"daemon", b"failed"})
#: A libvirtd that started looks after its domains within so long.
_LOOKS_AFTER = timedelta(seconds=30)


@dataclass(frozen=True)
class _Entry:
    at: datetime
    starts: bool
    late: bool


def _entries(path: Path, libvirtd: datetime | None) -> list[_Entry]:
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            text = file.read()
    except OSError:
        return []
    found = []
    for day, time, starts, _ends, reason, _signal in _LINE.findall(text):
        at = datetime.fromisoformat(f"{day.decode()}T{time.decode()}")
        late = reason in _FOUND_DEAD and libvirtd is not None and libvirtd <= at <= libvirtd + _LOOKS_AFTER
        found.append(_Entry(at, bool(starts), late))
    return found


def ended_at(path: Path, started: datetime, *, libvirtd: datetime | None = None) -> datetime | None:
    """When the run that began at ``started`` ended.

    Args:
        path: the domain's log.
        started: when its process began; UTC, naive, like the answer.
        libvirtd: when the libvirtd that is there now began. What it found dead then had ended before.

    Returns:
        None when the log does not say, or says it too late.
    """
    entries = _entries(path, libvirtd)
    starts = [number for number, entry in enumerate(entries) if entry.starts]
    # The wall clock may have been set meanwhile: it is the start nearest to ours.
    own = min(starts, key=lambda number: abs(entries[number].at - started), default=None)
    after = entries if own is None else entries[own + 1 :]
    for entry in after:
        if entry.starts:
            return None
        if not entry.late:
            return entry.at
    return None


def wall_of(boot_ms: int, now_ms: int) -> datetime:
    """The wall clock's time, UTC, at a moment of the boot clock, by what the two show now."""
    return datetime.now(UTC).replace(tzinfo=None) - timedelta(milliseconds=now_ms - boot_ms)
