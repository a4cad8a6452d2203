"""Files on their way into a group's directory: hidden until they are whole, gone on with after a cut, or removed.

The parts go to a hidden file beside where the image will be; that it is there is written down first, so that whoever
comes after this hostd finds and removes what was left. What of it has arrived is its length. Another host that shares
the directory may write there too: what counts in the end is the file as it can be read, not what was heard here.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from core.coordination import storage
from core.coordination.storage import ImageOrder
from core.database import Database
from core.errors import AlreadyExists, DosvmError, Elsewhere, InvalidInput
from core.i18n import N_
from core.rules.names import is_uuid
from core.services.cloud import Cloud
from hostd import arrivals, beneath, copying, upload_errors
from hostd.arrivals import LOOK, Arrived, Stamp
from hostd.faults import point
from hostd.handling import done
from hostd.hypervisor.errors import Stuck, TooSlow
from hostd.log import fields
from hostd.partial import Over, Partial
from hostd.storage_calls import StorageCalls
from hostd.upload_records import UploadRecords, hidden, partial_of

logger = logging.getLogger("hostd.uploads")

#: Seconds of silence after which another sender may go on with an upload.
_SILENCE = 10.0
#: Seconds for who still holds an upload that is over.
_LET_GO = 2.0
#: Seconds a piece may take to be written.
_PATIENCE = 30.0
#: What is said to whoever handed over a file: the bytes that are there, and those of them that are being looked at.
Told = Callable[[int, int], None]


class Uploads:
    """Takes parts of files, and keeps what is not whole out of sight."""

    def __init__(
        self,
        database: Database,
        state: Path,
        changed: Callable[[], None] = lambda: None,
        *,
        cloud: Cloud,
        refuse: Callable[[Path, str], None],
    ) -> None:
        """``state`` is hostd's own directory; ``changed`` is called when an upload was given up.

        ``refuse`` raises for a place where no image may be, before anything is made there.
        """
        self._refuse = refuse
        self._cloud = cloud
        self._database = database
        #: What this host writes down of them.
        self.records = UploadRecords(state / "uploads")
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

    def sums(self, uuid: str) -> bool:
        """Whether a sender has to sum what he streams: not where hostd knows by itself that all came from him."""
        with self._guard:
            live = self._live.get(uuid)
        return live is None or not live.own

    def stream(self, uuid: str, project_id: int | None, sender: str, offset: int) -> Callable[[memoryview], int]:
        """What takes one part after the other, from ``offset`` on, and answers as :meth:`receive` does.

        Whether the upload is still wanted is looked at once in a while only.
        """
        order, looked, at = self._order(uuid, project_id), time.monotonic(), offset

        def take(part: memoryview) -> int:
            nonlocal looked, at
            if time.monotonic() - looked > LOOK:
                self._order(uuid, project_id)
                looked = time.monotonic()
            received = self._receive(order, sender, at, part, bound=True)
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
        self, uuid: str, project_id: int | None, sender: str, source: int, gone: Callable[[], bool], told: Told
    ) -> tuple[int, str]:  # fmt: skip
        """Copy an open file of this machine, behind what has arrived of it; returns when all is there, or ``gone``.

        Args:
            uuid: of the image.
            project_id: whose it is.
            sender: by what name this sender is told from others.
            source: the open file, which its sender could read.
            gone: whether the sender is; asked often.
            told: what is said to the sender, often.

        Returns:
            The bytes that are there; the SHA-256 of what was copied, where another host may write to it from now on.
            Where none can, what is there at the end is what was copied, and its sum is not waited for.

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
            if time.monotonic() - looked > LOOK:
                self._order(uuid, project_id)
                live.heard = looked = time.monotonic()
            return live.over.is_set() or gone()

        with self._held(order) as live:
            self._heard(order, live, sender)
            self._open(order, live)
            told(live.received, 0)
            try:
                copying.copy(source, live, order.size, stop, told)
                digest = self._shared_sum(live, order, lambda: told(live.received, 0))
            except OSError as error:
                trouble = upload_errors.trouble(order, error)
                self.give_up(order.uuid)
                raise trouble from error
            finally:
                # Who went away is not waited for: another may go on at once.
                live.sender = ""
            if live.over.is_set():
                raise upload_errors.nothing()
            if live.received == order.size and live.own:
                live.all_from = sender
            return live.received, digest

    @staticmethod
    def _shared_sum(live: Partial, order: ImageOrder, alive: Callable[[], None]) -> str:
        if live.own or live.received < order.size or live.sums is None:
            return ""
        return live.sums.hexdigest(alive)

    def _receive(self, order: ImageOrder, sender: str, offset: int, part: memoryview, *, bound: bool = False) -> int:
        with self._held(order) as live:
            self._heard(order, live, sender)
            self._open(order, live)
            if offset != live.received or not part:
                return live.received
            if live.received + len(part) > order.size:
                raise InvalidInput(N_("More of {file} came than was announced."), field="source", file=order.file)
            point("upload_part")
            # A stream is one sender's from end to end; parts are bound to one another by their sum only.
            all_from = sender if bound and live.own and (not live.received or live.all_from == sender) else ""
            self._write(order, live, part, summed=not all_from)
            live.all_from = all_from
            return live.received

    def _heard(self, order: ImageOrder, live: Partial, sender: str) -> None:
        if live.sender not in ("", sender) and time.monotonic() - live.heard < _SILENCE:
            raise upload_errors.busy(order)
        live.sender, live.heard = sender, time.monotonic()

    @contextlib.contextmanager
    def _held(self, order: ImageOrder) -> Iterator[Partial]:
        """What is known of an upload, for one at a time; a directory that hangs holds up this upload alone."""
        with self._guard:
            live = self._live.setdefault(order.uuid, Partial())
        if not live.guard.acquire(blocking=False):
            raise upload_errors.busy(order)
        try:
            with self._guard:
                over = self._live.get(order.uuid) is not live or live.over.is_set()
            if over:
                raise upload_errors.busy(order)
            yield live
        except Over:
            raise upload_errors.nothing() from None
        finally:
            if live.over.is_set():
                live.close()  # whoever ended it may not have waited
            live.guard.release()

    @property
    def me(self) -> str:
        """This host's UUID."""
        return self._cloud.me

    def load(self, uuid: str) -> ImageOrder | None:
        """The image that an upload is for."""
        return self._database.read(lambda session: storage.load_image(session, uuid))

    def _order(self, uuid: str, project_id: int | None) -> ImageOrder:
        order = self.load(uuid)
        if order is None or order.project_id != project_id or order.state != "uploading":
            if order is None and is_uuid(uuid):
                self.patiently(self.records.directory_of(uuid), lambda: self.discard(uuid))
            raise upload_errors.nothing()
        return order

    def _open(self, order: ImageOrder, live: Partial) -> None:
        """Have the hidden file open, and know how much of it is there; anew when somebody else was at it."""
        try:
            self._calls.touch(order.root, lambda: self._opened(order, live), limit=_PATIENCE)
        except (Stuck, TooSlow, Elsewhere):
            raise  # what has arrived stays
        except OSError as error:
            trouble = upload_errors.trouble(order, error)
            self.give_up(order.uuid)
            raise trouble from error
        except DosvmError:
            self.give_up(order.uuid)
            raise

    def _opened(self, order: ImageOrder, live: Partial) -> None:
        if live.is_true():
            return
        if live.descriptor >= 0:
            logger.warning("somebody else was at an upload %s", fields(image=order.uuid, path=live.path))
        live.close()
        self._refuse(Path(os.path.realpath(order.root), order.file), order.file)
        target = beneath.place(Path(order.root), order.file)
        if os.path.lexists(target):
            raise AlreadyExists(
                N_("There is a file {path} already."),
                remedy=N_("Remove the file first, or register it as it is."),
                field="file",
                path=str(target),
            )
        partial = target.with_name(hidden(order.uuid))
        known = self.records.known(order.uuid)
        if not known and not os.path.lexists(partial):
            self._settle_here(order)
        self.records.remember(order.uuid, partial)
        point("upload_begun")
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        live.opened(partial, descriptor, os.fstat(descriptor).st_size)
        if live.over.is_set():
            live.close()  # given up, while the directory hung
            raise Over
        # Of what others write to as well, another host may have known it; it is compared, or held against its sum.
        if (not known and live.own) or live.received > order.size:
            live.cut(0)

    def _settle_here(self, order: ImageOrder) -> None:
        """Begin it on this host, unless another has parts of it and is not known to be down.

        Raises:
            Elsewhere: it is.
        """
        me = self._cloud.me
        if order.host in ("", me):
            return
        other = next((view for view in self._cloud.hosts() if view.uuid == order.host), None)
        if other is not None and other.state != "down":
            raise upload_errors.elsewhere(order, other.name)
        self._database.write(lambda session: done(storage.move_upload(session, order.uuid, me)))

    def _write(self, order: ImageOrder, live: Partial, part: memoryview, *, summed: bool) -> None:
        try:
            self._calls.touch(order.root, lambda: live.write(part, summed=summed), limit=_PATIENCE)
        except OSError as error:
            trouble = upload_errors.trouble(order, error)
            self.give_up(order.uuid)
            raise trouble from error
        if live.received == order.size:
            live.seal()

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

    def as_it_came(self, uuid: str, project_id: int | None, sender: str) -> Stamp | None:
        """What a file looks like of which all was copied here for one sender, or streamed by him.

        None where this hostd does not know that (any more): then he has to say its SHA-256, or to hand it over again.

        Raises:
            NotFound: it is not under way.
        """
        order = self._order(uuid, project_id)
        with self._held(order) as live:
            self._open(order, live)
            return live.stamp if live.received == order.size and live.all_from == sender else None

    @contextlib.contextmanager
    def arrived(
        self, order: ImageOrder, progress: Callable[[int], None], as_it_came: Stamp | None = None
    ) -> Iterator[Arrived | None]:
        """The hidden file of an upload that is whole, on the disk for good; None: it is in its place.

        Nobody writes to it from now on; meanwhile nobody else of this host works on it.

        Args:
            order: the image.
            progress: told percent.
            as_it_came: what it looked like when the last of it was written here, where no sender knows its SHA-256.

        Raises:
            EngineError: it cannot be read or written.
            InvalidInput: somebody wrote to it meanwhile, or the machine went down.
        """
        with self._guard:
            live = self._live.setdefault(order.uuid, Partial())
        live.end()
        # Who does not let go reads a source that hangs: nothing is written any more, but what he has is his.
        mine = live.guard.acquire(timeout=_LET_GO)
        try:
            if as_it_came is not None and partial_of(order).exists() and not self.records.known(order.uuid):
                raise InvalidInput(
                    N_("The machine went down before all of {file} was on its disk."),
                    remedy=N_("Begin the upload again."), field="source", file=order.file,
                )  # fmt: skip
            yield arrivals.arrived(order, live if mine else None, progress, as_it_came)
        finally:
            if mine:
                live.guard.release()

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
        self.records.remove(uuid)

    def give_up(self, uuid: str) -> None:
        """End an upload that cannot go on, or that nobody goes on with; one that is looked at by now is not ended."""
        if not self._database.write(lambda session: storage.remove_upload(session, uuid)) and self.load(uuid):
            return  # it is whole, and looked at by now
        self.discard(uuid)
        logger.info("upload given up %s", fields(image=uuid))
        self._changed()

    def patiently(self, directory: str, work: Callable[[], object]) -> None:
        """Do what may hang with its directory, and go on without it then."""
        try:
            self._calls.touch(directory, work, limit=_PATIENCE)
        except (Stuck, TooSlow) as error:
            logger.warning("what is left of an upload waits %s", fields(directory=directory, reason=error.message))
