"""The tasks of images: looked at before they may be used, installed and deleted."""

from __future__ import annotations

import contextlib
import filecmp
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core import image_files
from core.coordination import storage
from core.coordination.charges import fit_image_bytes
from core.coordination.storage import ImageOrder
from core.coordination.tasks import Claimed
from core.database import Database
from core.errors import AlreadyExists, DosvmError, EngineError, InvalidInput, Refused
from core.i18n import N_
from hostd import beneath, intervals, qemu_img
from hostd.access import let_pass
from hostd.arrivals import Arrived, digest_of
from hostd.faults import point
from hostd.flushing import flush_names
from hostd.handling import Context, Effect, Handler, Interrupted, Obsolete, done
from hostd.hypervisor.errors import Stuck, TooSlow, Underway
from hostd.log import fields
from hostd.storage_calls import LeftBehind, StorageCalls, touch_or_never
from hostd.upload_records import partial_of
from hostd.uploads import Uploads

logger = logging.getLogger("hostd.images")

_TOPICS = frozenset({"image"})
_CHUNK = 4 * 1024 * 1024


class ImageTasks:
    """Works on the files of images."""

    def __init__(
        self,
        database: Database,
        sample: Path,
        state: Path,
        uploads: Uploads,
        *,
        own: Callable[[os.stat_result], bool],
        refuse_group: Callable[[str], None],
    ) -> None:
        """Begin with nothing to do.

        Args:
            database: the cloud's.
            sample: the packaged sample image.
            state: hostd's own directory.
            uploads: those that come to this host.
            own: knows files of DOSVM.
            refuse_group: refuses a group's directory that is others' here too.
        """
        self._refuse_group = refuse_group
        self._uploads = uploads
        self._own = own
        self._database = database
        self._sample = sample
        self._record = state / "access.log"
        self._calls = StorageCalls()
        #: By UUID what this run gave a name of an image: that alone is taken away when the end cannot be written.
        self._linked: dict[str, os.stat_result] = {}

    def _load(self, task: Claimed) -> ImageOrder:
        order = self._database.read(lambda session: storage.load_image(session, task.target))
        if order is None:
            raise Obsolete(N_("The image has been deleted."))
        return order

    def _checked(self, order: ImageOrder) -> Effect:
        def first(descriptor: int) -> None:
            # What is refused is not taken over. It is looked at again when it is nobody else's.
            if self._own(os.fstat(descriptor)):
                raise InvalidInput(
                    N_("{file} is a file of DOSVM itself, which is no image."),
                    remedy=N_("Give the project group a directory of its own, in which nothing else is."),
                    field="file",
                    file=Path(order.file).name,
                )
            image_files.read(descriptor, Path(order.file).name, order.format)
            size = os.fstat(descriptor).st_size
            self._database.write(lambda session: fit_image_bytes(session, order.id, size))

        path = beneath.look(Path(order.root), order.file, new=True, first=first)
        info = qemu_img.inspect(path, order.format)
        let_pass(path.parent, self._record)

        def write(session: Any) -> None:
            # Only now the size is known, and counts for the project's quota.
            fit_image_bytes(session, order.id, info.size)
            storage.record_image(session, order.uuid, state="present", size=info.size, virtual_size=info.virtual_size)

        return write

    def check(self, task: Claimed, _context: Context) -> Effect:
        """``image.check``: is it what its admin says, and nothing that refers elsewhere?"""
        order = self._load(task)
        point("before_image")
        self._refuse_group(order.root)
        effect = self._checked(order)
        point("after_image")
        return effect

    def not_fit(self, task: Claimed, _error: DosvmError) -> Effect:
        """A new row goes, an edited one is as it was before; the file is its owner's."""
        before = task.payload.get("before")
        if isinstance(before, dict):
            return lambda session: done(storage.record_image(session, task.target, **before))
        return lambda session: done(storage.remove_image(session, task.target))

    def install(self, task: Claimed, context: Context) -> Effect:
        """``image.install``: copy the packaged sample image into the group's directory.

        It is always this host's own sample image: a task cannot name another file to be copied.
        """
        order = self._load(task)
        if not self._sample.is_file():
            raise EngineError(
                N_("There is no sample image at {path}."),
                remedy=N_("`make setup` builds it; sample_image in dosvm.toml names another place."),
                path=str(self._sample),
            )
        directory = Path(order.root)
        if order.file != Path(order.file).name:
            raise Refused(N_("The file must be inside the directory; no part may begin with a dot."), field="file")
        point("before_image")
        try:
            self._refuse_group(order.root)
            directory.mkdir(parents=True, exist_ok=True)
            self._copy(directory, order, context)
        except OSError as error:
            raise EngineError(
                N_("The sample image cannot be copied to {path}: {reason}."),
                path=str(directory),
                reason=error.strerror or str(error),
            ) from error
        point("after_image")
        return self._checked(order)

    def _copy(self, directory: Path, order: ImageOrder, context: Context) -> None:
        target = directory / order.file
        if target.exists():
            if filecmp.cmp(self._sample, target, shallow=False):
                return  # an earlier attempt got so far
            raise AlreadyExists(
                N_("There is a file {path} already."), remedy=N_("Remove the file first."), path=str(target)
            )
        temporary = directory / f".{order.uuid}.part"
        total, done = max(1, self._sample.stat().st_size), 0
        # Others may write to the directory: what lies there under this name is never written through.
        temporary.unlink(missing_ok=True)
        try:
            with self._sample.open("rb") as source, temporary.open("xb") as copy:
                while chunk := source.read(_CHUNK):
                    copy.write(chunk)
                    done += len(chunk)
                    context.progress(done * 99 // total)
                copy.flush()
                os.fsync(copy.fileno())
                os.fchmod(copy.fileno(), 0o640)
            _sure(context)
            # A link never overwrites what somebody put there meanwhile.
            os.link(temporary, target)
            flush_names(directory)
        finally:
            temporary.unlink(missing_ok=True)

    def receive(self, task: Claimed, context: Context) -> Effect:
        """``image.receive``: is what was uploaded whole, and what was said? Only then it gets its name."""
        order = self._load(task)
        point("upload_whole")
        self._refuse_group(order.root)
        target = Path(os.path.realpath(order.root), order.file)
        as_it_came = tuple(task.payload["as_it_came"]) if "as_it_came" in task.payload else None
        with self._uploads.arrived(order, context.progress, as_it_came) as arrived:
            values = self._named(task, order, target, arrived, context)
            point("upload_linked")
            self._uploads.discard(order.uuid)
        return lambda session: done(storage.record_image(session, order.uuid, state="present", **values))

    def _named(
        self, task: Claimed, order: ImageOrder, target: Path, arrived: Arrived | None, context: Context
    ) -> dict[str, Any]:
        """Give what arrived its name, when all is right with it; what is known of it then."""
        # Of what was handed over or came in one stream hostd's own sum is the only one, and nobody waits for it.
        sums_later = "as_it_came" in task.payload
        digest = ""
        if not sums_later:
            # An attempt that died may have got so far that the file is in its place.
            digest = arrived.digest if arrived is not None else self._digest(order, context)
            if digest != task.payload.get("digest"):
                raise InvalidInput(
                    N_("What arrived of {file} is not what was sent: their SHA-256 differ."),
                    remedy=N_("Begin the upload again."),
                    field="source",
                    file=order.file,
                )
        there = arrived.path if arrived is not None else target
        try:
            info = qemu_img.inspect(there, order.format, name=order.file)
        except InvalidInput as error:
            # It is what was sent that is wrong, not the name that it was to get.
            if error.field == "file":
                error.field = "source"
            raise
        # What may still fail comes before the file has its name.
        let_pass(target.parent, self._record)
        self._linked[order.uuid] = os.lstat(there)
        if arrived is not None:
            _sure(context)
            arrived.still()
            _link(there, target)
        received = order.size if sums_later else 0
        return {"size": info.size, "virtual_size": info.virtual_size, "digest": digest, "received": received}

    def received(self, task: Claimed) -> None:
        """It is an image now, which only ``image.delete`` removes."""
        self._linked.pop(task.target, None)

    @staticmethod
    def _digest(order: ImageOrder, context: Context) -> str:
        path = beneath.look(Path(order.root), order.file)
        with path.open("rb") as file:
            return digest_of(file.fileno(), order.size, context.progress)

    def not_received(self, task: Claimed, error: DosvmError) -> Effect:
        """Nothing of it stays; a file of somebody else's under its name does."""
        order = self._database.read(lambda session: storage.load_image(session, task.target))
        if order is not None:
            found = order
            # Storage that hung is not waited for as long once more.
            limit = intervals.STORAGE if isinstance(error, Stuck | TooSlow | LeftBehind) else intervals.LIBVIRT_LONG
            try:
                self._touch_or_never(found, lambda sure: self._retract(found, sure), limit=limit)
            except (DosvmError, OSError) as reason:
                logger.warning("what was uploaded stays %s", fields(image=task.target, reason=str(reason)))
                # By its row it is found again, when somebody deletes the image.
                return lambda session: done(storage.record_image(session, task.target, state="failed"))
        return lambda session: done(storage.remove_image(session, task.target))

    def _retract(self, order: ImageOrder, sure: Callable[[], None]) -> None:
        """Remove what an upload has made."""
        partial = partial_of(order)
        linked = self._linked.get(order.uuid)
        with contextlib.suppress(FileNotFoundError):
            linked = os.lstat(partial)
        if linked is not None and _is_same(linked, Path(os.path.realpath(order.root), order.file)):
            beneath.remove(Path(order.root), order.file, order.uuid, sure)
        self._uploads.discard(order.uuid)
        self._linked.pop(order.uuid, None)

    def delete(self, task: Claimed, context: Context) -> Effect:
        """``image.delete``: the file goes with the row (manual 9.5.4)."""
        order = self._load(task)

        def work(sure: Callable[[], None]) -> None:
            if task.payload.get("own", True):
                beneath.remove(Path(order.root), order.file, order.uuid, sure)
            else:
                # Of what could not be made the file of its name may be somebody's.
                self._retract(order, sure)

        point("before_image")
        try:
            self._touch_or_never(order, work, context)
        except OSError as error:
            raise EngineError(
                N_("{path} cannot be deleted: {reason}."), path=order.path, reason=error.strerror or str(error)
            ) from error
        point("after_image")
        return lambda session: done(storage.remove_image(session, order.uuid))

    def delete_failed(self, task: Claimed, error: DosvmError) -> Effect:
        """It is what it was, and can be deleted again; where its file may still go, nobody uses it any more."""
        state = "failed" if isinstance(error, Underway) else str(task.payload.get("before", "present"))
        return lambda session: done(storage.record_image(session, task.target, state=state))

    def _touch_or_never(
        self,
        order: ImageOrder,
        work: Callable[[Callable[[], None]], None],
        context: Context | None = None,
        *,
        limit: float = 0.0,
    ) -> None:
        held = context.held if context is not None else lambda: True
        limit = limit or intervals.LIBVIRT_LONG
        touch_or_never(lambda run: self._calls.touch(order.root, run, limit=limit), work, held)

    def timely(self, run: Callable[[Claimed, Context], Effect]) -> Callable[[Claimed, Context], Effect]:
        """Done within a time limit: a group's directory may be on storage that hangs."""

        def limited(task: Claimed, context: Context) -> Effect:
            root = self._load(task).root
            return self._calls.touch(root, lambda: run(task, context), limit=intervals.LIBVIRT_LONG)

        return limited

    def patient(self, run: Callable[[Claimed, Context], Effect]) -> Callable[[Claimed, Context], Effect]:
        """As :meth:`timely`, of what reads or writes whole files."""

        def followed(task: Claimed, context: Context) -> Effect:
            return self._calls.follow(self._load(task).root, context, lambda own: run(task, own))

        return followed


def _sure(context: Context) -> None:
    """Right before what cannot be undone: it may not happen when the task was given up, or is another host's."""
    if not context.held():
        raise Interrupted


def _link(partial: Path, target: Path) -> None:
    """Give a whole file its name; a link never overwrites what somebody put there meanwhile."""
    try:
        try:
            os.link(partial, target, follow_symlinks=False)
        except FileExistsError as error:
            if not _is_same(os.lstat(partial), target):
                raise AlreadyExists(
                    N_("There is a file {path} already."), remedy=N_("Remove the file first."), path=str(target)
                ) from error
        flush_names(target.parent)
    except OSError as error:
        raise EngineError(
            N_("{file} cannot be put into {directory}: {reason}."),
            file=target.name,
            directory=str(target.parent),
            reason=error.strerror or str(error),
        ) from error


def _is_same(status: os.stat_result, path: Path) -> bool:
    try:
        return os.path.samestat(status, os.lstat(path))
    except OSError:
        return False


def handlers(
    database: Database,
    sample: Path,
    state: Path,
    uploads: Uploads,
    own: Callable[[os.stat_result], bool],
    refuse_group: Callable[[str], None],
) -> dict[str, Handler]:
    """Task kind -> handler; the rest as of :class:`ImageTasks`."""
    work = ImageTasks(database, sample, state, uploads, own=own, refuse_group=refuse_group)
    return {
        "image.check": Handler(work.timely(work.check), _TOPICS, work.not_fit, storage=True),
        "image.install": Handler(work.patient(work.install), _TOPICS, work.not_fit, storage=True, long=True),
        "image.receive": Handler(
            work.patient(work.receive), _TOPICS, work.not_received, work.received, storage=True, long=True
        ),
        "image.delete": Handler(work.delete, _TOPICS, work.delete_failed, storage=True),
    }
