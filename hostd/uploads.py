"""Files on their way into a group's directory: hidden until they are whole, gone on with after a cut, or removed.

The parts go to a hidden file beside where the image will be; that it is there is written down first, so that whoever
comes after this hostd finds and removes what was left. What of it has arrived is its length. Another host that shares
the directory may write there too: what counts in the end is the file as it can be read, not what was heard here.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from core.clock import Clock
from core.coordination import storage
from core.coordination.storage import ImageOrder
from core.database import Database
from core.errors import AlreadyExists, DosvmError, EngineError, InUse, InvalidInput, NotFound
from core.i18n import N_
from core.rules.names import is_uuid
from hostd import beneath, copying
from hostd.executor import done
from hostd.faults import point
from hostd.hypervisor.errors import Stuck, TooSlow
from hostd.log import fields
from hostd.partial import BLOCK, Over, Partial, is_own
from hostd.storage_calls import StorageCalls
from hostd.upload_records import UploadRecords, hidden

logger = logging.getLogger("hostd.uploads")

#: Seconds of silence after which another sender may go on with an upload.
_SILENCE = 10.0
#: Seconds after which an upload that nobody goes on with is given up.
ABANDONED = 24 * 3600.0
#: An upload that goes on is said to go on this often; and so many at most are given up by one sweep.
_SLACK, _MANY = timedelta(hours=12), 100
#: Seconds between looks whether an upload that goes on is still wanted; for who still holds one that is over.
_LOOK, _LET_GO = 1.0, 2.0
#: Seconds a piece may take to be written.
_PATIENCE = 30.0


class Arrived(NamedTuple):
    """A file that is whole, under its hidden name: its SHA-256, and what it looked like when that was taken."""

    path: Path
    digest: str
    stamp: tuple[int, int, int]

    def still(self) -> None:
        """See that it is the file that was summed.

        Raises:
            InvalidInput: somebody wrote to it.
            OSError: it cannot be looked at.
        """
        # Opened anew: only then is what other hosts did seen on NFS.
        with self.path.open("rb") as file:
            if _stamp(file.fileno()) != self.stamp:
                raise InvalidInput(
                    N_("{file} was changed after it had arrived."),
                    remedy=N_("Begin the upload again."),
                    field="source",
                    file=self.path.name,
                )


class Uploads:
    """Takes parts of files, and keeps what is not whole out of sight."""

    def __init__(
        self, database: Database, clock: Clock, state: Path, changed: Callable[[], None] = lambda: None
    ) -> None:
        """``state`` is hostd's own directory; ``changed`` is called when an upload was given up."""
        self._database = database
        self._clock = clock
        self._records = UploadRecords(state / "uploads")
        self._changed = changed
        self._guard = threading.Lock()
        self._live: dict[str, Partial] = {}
        self._calls = StorageCalls()

    # -- parts

    def receive(self, uuid: str, project_id: int | None, sender: str, offset: int, part: memoryview) -> int:
        """Take a part of a file that begins at ``offset``; answers how many bytes are there, from which to go on.

        A part that does not begin there changes nothing: an empty one asks.

        Raises:
            NotFound: nothing of that name is being uploaded by the project.
            InUse: somebody else is sending it.
            InvalidInput: more came than was announced.
            DosvmError: it cannot be put there; then the upload is over, and nothing of it is left.
        """
        return self._receive(self._order(uuid, project_id), sender, offset, part)

    def stream(self, uuid: str, project_id: int | None, sender: str, offset: int) -> Callable[[memoryview], int]:
        """What takes one part after the other, from ``offset`` on, and answers as :meth:`receive` does.

        Whether the upload is still wanted is looked at once in a while only.
        """
        order, looked, at = self._order(uuid, project_id), time.monotonic(), offset

        def take(part: memoryview) -> int:
            nonlocal looked, at
            if time.monotonic() - looked > _LOOK:
                self._order(uuid, project_id)
                looked = time.monotonic()
            received = self._receive(order, sender, at, part)
            at += len(part)
            return received

        return take

    def left(self, uuid: str, sender: str) -> None:
        """A sender has said all that he says for now: another need not wait for him to be silent."""
        with self._guard:
            live = self._live.get(uuid)
        if live is not None and live.sender == sender:
            live.sender = ""

    def copy(
        self, uuid: str, project_id: int | None, sender: str, source: int, gone: Callable[[], bool],
        told: Callable[[int], None],
    ) -> tuple[int, str]:  # fmt: skip
        """Copy an open file of this machine, behind what has arrived of it; returns when all is there, or ``gone``.

        Args:
            uuid: of the image.
            project_id: whose it is.
            sender: by what name this sender is told from others.
            source: the open file, which its sender could read.
            gone: whether the sender is; asked often.
            told: called with the bytes that are there, often.

        Returns:
            The bytes that are there, and the SHA-256 of the file when that is all.

        Raises:
            NotFound, InUse: as :meth:`receive`; the upload is over, or somebody else is at it.
            InvalidInput: the file is not as long as was announced, or cannot be read.
            DosvmError: it cannot be put there; then the upload is over, and nothing of it is left.
        """
        order = self._order(uuid, project_id)
        if copying.stamp(source)[0] != order.size:
            raise InvalidInput(
                N_("{file} is not as long as was announced."), field="source", remedy=N_("Send it again."),
                file=order.file,
            )  # fmt: skip
        looked = time.monotonic()

        def stop() -> bool:
            nonlocal looked
            if time.monotonic() - looked > _LOOK:
                self._order(uuid, project_id)
                live.heard = looked = time.monotonic()
            return live.over.is_set() or gone()

        with self._held(order) as live:
            self._heard(order, live, sender)
            self._open(order, live)
            told(live.received)
            try:
                copying.copy(source, live, order.size, stop, told)
            except OSError as error:
                self._give_up(order.uuid)
                raise self._trouble(order, error) from error
            finally:
                # Who went away is not waited for: another may go on at once.
                live.sender = ""
            if live.over.is_set():
                raise self._nothing()
            return live.received, live.sum_so_far(order.size)

    def _receive(self, order: ImageOrder, sender: str, offset: int, part: memoryview) -> int:
        with self._held(order) as live:
            self._heard(order, live, sender)
            self._open(order, live)
            if offset != live.received or not part:
                return live.received
            if live.received + len(part) > order.size:
                raise InvalidInput(N_("More of {file} came than was announced."), field="source", file=order.file)
            point("upload_part")
            self._write(order, live, part)
            return live.received

    def _heard(self, order: ImageOrder, live: Partial, sender: str) -> None:
        if live.sender not in ("", sender) and time.monotonic() - live.heard < _SILENCE:
            raise self._busy(order)
        live.sender, live.heard = sender, time.monotonic()

    @contextlib.contextmanager
    def _held(self, order: ImageOrder) -> Iterator[Partial]:
        """What is known of an upload, for one at a time; a directory that hangs holds up this upload alone."""
        with self._guard:
            live = self._live.setdefault(order.uuid, Partial())
        if not live.guard.acquire(blocking=False):
            raise self._busy(order)
        try:
            with self._guard:
                over = self._live.get(order.uuid) is not live or live.over.is_set()
            if over:
                raise self._busy(order)
            yield live
        except Over:
            raise self._nothing() from None
        finally:
            if live.over.is_set():
                live.close()  # whoever ended it may not have waited
            live.guard.release()

    def _load(self, uuid: str) -> ImageOrder | None:
        return self._database.read(lambda session: storage.load_image(session, uuid))

    def _order(self, uuid: str, project_id: int | None) -> ImageOrder:
        order = self._load(uuid)
        if order is None or order.project_id != project_id or order.state != "uploading":
            if order is None and is_uuid(uuid):
                self._patiently(self._records.directory_of(uuid), lambda: self.discard(uuid))
            raise self._nothing()
        return order

    @staticmethod
    def _nothing() -> NotFound:
        return NotFound(N_("Nothing is being uploaded there."), remedy=N_("Begin the upload again."), field="image")

    @staticmethod
    def _busy(order: ImageOrder) -> InUse:
        return InUse(
            N_("Somebody else is uploading {name} just now."),
            remedy=N_("Wait until that has ended, or use another name."),
            field="name",
            name=order.name,
        )

    def _open(self, order: ImageOrder, live: Partial) -> None:
        """Have the hidden file open, and know how much of it is there; anew when somebody else was at it."""
        try:
            self._calls.touch(order.root, lambda: self._opened(order, live), limit=_PATIENCE)
        except (Stuck, TooSlow):
            raise  # what has arrived stays
        except OSError as error:
            self._give_up(order.uuid)
            raise self._trouble(order, error) from error
        except DosvmError:
            self._give_up(order.uuid)
            raise

    def _opened(self, order: ImageOrder, live: Partial) -> None:
        if live.is_true():
            return
        if live.descriptor >= 0:
            logger.warning("somebody else was at an upload %s", fields(image=order.uuid, path=live.path))
        live.close()
        target = beneath.place(Path(order.root), order.file)
        if os.path.lexists(target):
            raise AlreadyExists(
                N_("There is a file {path} already."),
                remedy=N_("Remove the file first, or register it as it is."),
                field="file",
                path=str(target),
            )
        partial = target.with_name(hidden(order.uuid))
        fresh = not self._records.known(order.uuid)
        self._records.remember(order.uuid, partial)
        point("upload_begun")
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        live.opened(partial, descriptor, os.fstat(descriptor).st_size)
        if live.over.is_set():
            live.close()  # given up, while the directory hung
            raise Over
        if fresh or live.received > order.size:
            live.cut(0)

    def _write(self, order: ImageOrder, live: Partial, part: memoryview) -> None:
        at = live.received
        try:
            self._calls.touch(order.root, lambda: live.write(part), limit=_PATIENCE)
        except OSError as error:
            self._give_up(order.uuid)
            raise self._trouble(order, error) from error
        live.add(at, part)
        if live.received == order.size:
            live.seal()

    @staticmethod
    def _trouble(order: ImageOrder, error: OSError) -> DosvmError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = _free(Path(order.root))
            return EngineError(
                N_("The disk with {directory} is full: {file} was removed again."),
                remedy=N_("Make room there: {free} MiB are free, and the file has {size} MiB."),
                field="source",
                directory=order.root,
                file=order.file,
                free=free >> 20,
                size=-(-order.size >> 20),
            )
        return EngineError(
            N_("{file} cannot be put into {directory}: {reason}."),
            field="file",
            file=order.file,
            directory=order.root,
            reason=error.strerror or str(error),
        )

    # -- the end

    def whole(self, uuid: str, project_id: int | None) -> None:
        """Refuse to end an upload of which something is missing.

        Raises:
            NotFound, InvalidInput: it is not under way, or not whole.
        """
        order = self._order(uuid, project_id)
        with self._held(order) as live:
            self._open(order, live)
            received = live.received
        if received != order.size:
            raise InvalidInput(
                N_("Of {file} something is missing: it was announced longer."), field="source", file=order.file
            )

    @contextlib.contextmanager
    def arrived(self, order: ImageOrder, progress: Callable[[int], None]) -> Iterator[Arrived | None]:
        """The hidden file of an upload that is whole, on the disk for good; None: it is in its place.

        Nobody writes to it from now on; meanwhile nobody else of this host works on it.

        Raises:
            EngineError: it cannot be read or written.
            InvalidInput: another host wrote to it meanwhile.
        """
        with self._guard:
            live = self._live.setdefault(order.uuid, Partial())
        live.end()
        # Who does not let go reads a source that hangs: nothing is written any more, but what he has is his.
        mine = live.guard.acquire(timeout=_LET_GO)
        try:
            yield self._whole(order, live if mine else None, progress)
        finally:
            if mine:
                live.guard.release()

    def _whole(self, order: ImageOrder, live: Partial | None, progress: Callable[[int], None]) -> Arrived | None:
        partial = self.partial(order)
        if not partial.exists():
            return None
        if not is_own(partial):
            # A sender to another host that shares the directory hears by then that it is over.
            time.sleep(1.5 * _LOOK)
        try:
            with partial.open("rb") as file:
                stamp = _stamp(file.fileno())
                known = live.sum_of(order.size) if live is not None and live.path == partial else ""
                arrived = Arrived(partial, known or digest_of(file.fileno(), order.size, progress), stamp)
                os.fchmod(file.fileno(), 0o640)
                os.fsync(file.fileno())
            arrived.still()
        except OSError as error:
            raise self._trouble(order, error) from error
        return arrived

    def partial(self, order: ImageOrder) -> Path:
        """Where the parts of an upload go."""
        return Path(os.path.realpath(order.root), order.file).with_name(hidden(order.uuid))

    def discard(self, uuid: str) -> None:
        """Forget an upload and remove its hidden file; what is no identity was never begun."""
        if not is_uuid(uuid):
            return
        with self._guard:
            live = self._live.pop(uuid, None)
        if live is not None:
            live.over.set()
            # One who waits for a source that hangs closes it when he comes back.
            if live.guard.acquire(timeout=_LET_GO):
                live.close()
                live.guard.release()
        self._records.remove(uuid)

    def _give_up(self, uuid: str) -> None:
        if not self._database.write(lambda session: storage.remove_upload(session, uuid)) and self._load(uuid):
            return  # it is whole, and looked at by now
        self.discard(uuid)
        logger.info("upload given up %s", fields(image=uuid))
        self._changed()

    # -- what is left behind

    def sweep(self) -> None:
        """Remove what is left of uploads that are over, and give up those that nobody goes on with."""
        for uuid in self._records:
            self._patiently(self._records.directory_of(uuid), lambda u=uuid: self._sweep(u))  # type: ignore[misc]
        self._give_up_others()

    def _patiently(self, directory: str, work: Callable[[], object]) -> None:
        """Do what may hang with its directory, and go on without it then."""
        try:
            self._calls.touch(directory, work, limit=_PATIENCE)
        except (Stuck, TooSlow) as error:
            logger.warning("what is left of an upload waits %s", fields(directory=directory, reason=error.message))

    def _sweep(self, uuid: str) -> None:
        order = self._load(uuid)
        if order is None or order.state not in ("uploading", "creating"):
            self.discard(uuid)
        elif order.state == "uploading":
            age = self._records.age(uuid)
            if age > ABANDONED:
                self._give_up(uuid)
                return
            # Others do not see it come: what takes days is said to go on.
            last = self._clock.now() - timedelta(seconds=age)
            self._database.write(lambda s: done(storage.still_uploaded(s, uuid, last, _SLACK)))

    def _give_up_others(self) -> None:
        """Give up what was announced and never came, or came to a host that is gone: it would be booked for ever."""
        known = list(self._records)
        before = self._clock.now() - timedelta(seconds=ABANDONED) - _SLACK
        for uuid in self._database.read(lambda session: storage.silent_uploads(session, before, known, _MANY)):
            order = self._load(uuid)
            if order is None or not self._database.write(lambda s, u=uuid: storage.remove_upload(s, u, before)):  # type: ignore[misc]
                continue
            self._patiently(order.root, lambda o=order: self._remove(o))  # type: ignore[misc]
            logger.info("upload of nobody given up %s", fields(image=uuid))
            self._changed()

    def _remove(self, order: ImageOrder) -> None:
        with contextlib.suppress(OSError):
            self.partial(order).unlink(missing_ok=True)


def _stamp(descriptor: int) -> tuple[int, int, int]:
    status = os.fstat(descriptor)
    return status.st_ino, status.st_size, status.st_mtime_ns


def digest_of(descriptor: int, size: int, progress: Callable[[int], None]) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    digest, at = hashlib.sha256(), 0
    while part := os.pread(descriptor, BLOCK, at):
        digest.update(part)
        at += len(part)
        progress(at * 99 // max(1, size))
    return digest.hexdigest()


def _free(directory: Path) -> int:
    try:
        found = os.statvfs(directory)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize
