"""How far uploads are, told to everybody who looks at a list: now and then, by the length of what has arrived."""

from __future__ import annotations

from pathlib import Path

from core.coordination import image_files
from core.database import Database
from core.errors import DosvmError
from hostd import intervals
from hostd.hypervisor.bounded import Bounded
from hostd.partial import is_own
from hostd.storage_calls import SILENT
from hostd.upload_records import UploadRecords, hidden


class UploadProgress:
    """Writes how much of each upload to this host is there."""

    def __init__(self, database: Database, me: str, records: UploadRecords) -> None:
        """``me`` is this host's UUID; ``records`` are what it writes down of uploads."""
        self._database = database
        self._me = me
        self._records = records
        self._calls = Bounded("upload progress", size=1, cap=8, words=SILENT, linger=10.0)
        #: What was written last, by the image's UUID.
        self._told: dict[str, int] = {}

    def look(self) -> None:
        """Look at all that are under way; of what does not answer nothing is said.

        Raises:
            DosvmError: the database does not answer.
        """
        here = set(self._records)
        self._told = {uuid: told for uuid, told in self._told.items() if uuid in here}
        for uuid in here:
            directory = self._records.directory_of(uuid)
            try:
                found = self._calls.call(
                    lambda d=directory, u=uuid: _length(Path(d, hidden(u))),
                    limit=intervals.STORAGE,
                    key=directory,
                )
            except (DosvmError, OSError):
                continue
            received, own = found
            if self._told.get(uuid) == received:
                continue
            # What lies in a directory of this host alone counts only while the upload goes to it.
            host = self._me if own else ""
            self._database.write(lambda s, u=uuid, r=received, h=host: image_files.record_received(s, u, r, h))  # type: ignore[misc]
            self._told[uuid] = received


def _length(partial: Path) -> tuple[int, bool]:
    """How many bytes of a file are there, and whether no other host can write to it."""
    return partial.lstat().st_size, is_own(partial)
