"""What a host writes down of the files it begins, so that whoever comes after its hostd finds and removes them."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from core.coordination.storage import ImageOrder
from core.rules.names import is_uuid


def hidden(uuid: str) -> str:
    """The name of the file that the parts of an upload go to, in the directory where the whole will be."""
    return f".{uuid}.part"


def partial_of(order: ImageOrder) -> Path:
    """Where the parts of an upload go."""
    return Path(os.path.realpath(order.root), order.file).with_name(hidden(order.uuid))


class UploadRecords:
    """One small file for each upload, in a directory of hostd's own."""

    def __init__(self, directory: Path) -> None:
        """They are in ``directory``, which is made when it is needed."""
        self._directory = directory

    def remember(self, uuid: str, partial: Path) -> None:
        """Write down that the parts of an upload go to this file, before it is made.

        Raises:
            OSError: it cannot be written.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        fresh = self._directory / f"{uuid}.new"
        with fresh.open("w", encoding="utf-8") as file:
            json.dump({"partial": str(partial), "boot": _boot()}, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._directory / uuid)

    def known(self, uuid: str) -> bool:
        """Whether parts that are there were written since the machine came up: a power cut may have taken some."""
        with contextlib.suppress(OSError, ValueError):
            found = json.loads((self._directory / uuid).read_text(encoding="utf-8"))
            return bool(found["boot"] == _boot())
        return False

    def __iter__(self) -> Iterator[str]:
        """The uploads of which something is written down."""
        # Others are being written.
        return (record.name for record in self._directory.glob("*") if is_uuid(record.name))

    def remove(self, uuid: str) -> None:
        """Remove the file of an upload, and then what was written down of it."""
        record = self._directory / uuid
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            partial = self._partial(record)
            # No more than what is named so is ever removed, whatever stands there.
            if partial.is_absolute() and ".." not in partial.parts and partial.name == hidden(uuid):
                partial.unlink(missing_ok=True)
        record.unlink(missing_ok=True)

    def directory_of(self, uuid: str) -> str:
        """Where the file of an upload is; empty when that cannot be read."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return str(self._partial(self._directory / uuid).parent)
        return ""

    def age(self, uuid: str) -> float:
        """Seconds since something of it arrived."""
        record = self._directory / uuid
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return time.time() - self._partial(record).stat().st_mtime
        with contextlib.suppress(OSError):
            return time.time() - record.stat().st_mtime
        return 0.0

    @staticmethod
    def _partial(record: Path) -> Path:
        return Path(json.loads(record.read_text(encoding="utf-8"))["partial"])


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
