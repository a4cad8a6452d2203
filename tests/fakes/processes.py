"""The programs of a test's machine, but for those that even root may not look at there."""

from __future__ import annotations

from pathlib import Path


def seen() -> list[Path]:
    """The directories of those whose open files can be seen: a container's keeper hides its own."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            for file in (process / "fd").iterdir():
                file.readlink()
                break
        except OSError:
            continue
        found.append(process)
    return found
