"""``pool.refresh``: finds what others put into a pool or took away (manual 9.4.7), in one pass; ``volume.accept``.

The storage is looked at before the database is read: a volume's row is there before its file, so what is a file and no
row was put there by somebody else, or has just been deleted; that is looked at once more before anything is written.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sqlalchemy.orm import Session

from core import image_files
from core.coordination import discovery, storage, tasks
from core.coordination.charges import fit_found, fit_given
from core.coordination.discovery import BATCH, THERE, Found, Known, Measured
from core.coordination.tasks import Claimed
from core.database import Database
from core.errors import DosvmError, EngineError, InvalidInput, Refused
from core.i18n import N_
from core.rules.names import escaped, is_seen, printable
from core.security.sealed import SealedSecret
from core.specs.pool import PoolOrder
from hostd import blocks, devices, image_headers, intervals, volume_heads, volume_images
from hostd.handling import Context, Effect, Handler, Interrupted, Obsolete, done
from hostd.hypervisor.secrets import is_wrong
from hostd.hypervisor.units import Unit, Units
from hostd.log import fields
from hostd.pools import Keeper
from hostd.volume_files import explained, file_of
from hostd.volume_heads import Wanted
from hostd.volume_images import Layer

logger = logging.getLogger("hostd.refresh")

T = TypeVar("T")
N = TypeVar("N")

_TOPICS = frozenset({"volume", "pool"})
_LONGEST = 64
#: So many volumes that are damaged are named, and so many things that are no volumes.
_NAMED = 5
#: Files that are looked at at the same time: over a network each waits for three answers of its server.
_READERS = 4


class Strange(NamedTuple):
    """What is no volume, and the msgid of why."""

    name: str
    why: str


_NO_FILE = N_("no plain file")
_LONG = N_("its name has more than 64 characters")
_UNSEEN = N_("its name has characters that cannot be shown")
_BLANKS = N_("its name begins or ends with a blank")
_NO_UNIT = N_("no unit that can be looked at")
_HOSTS = N_("the host itself uses it")
_GONE = N_("it cannot be opened")


class Seen(NamedTuple):
    """A file or unit; sizes are bytes. A unit has a path of its own, and a key."""

    size: int
    allocation: int
    path: str = ""
    key: str = ""

    def is_still(self, one: Known) -> bool:
        """Whether it is what a volume was; another unit may have its name by now."""
        return not (self.key and one.key) or self.key == one.key


class _Steps:
    """How far a refresh is: from 10 percent, when all that is there was listed, to 99."""

    def __init__(self, context: Context, total: int) -> None:
        self._context = context
        self._total = total
        self._done = 0
        self.done(0)

    def done(self, count: int) -> None:
        """So many more were looked at.

        Raises:
            Interrupted: hostd ends.
        """
        self._done += count
        self._context.progress(min(99, 10 + self._done * 89 // max(1, self._total)))
        if self._context.closing.is_set():
            raise Interrupted


class RefreshTasks:
    """Compares pools with what the database has of them."""

    def __init__(
        self,
        database: Database,
        keeper: Keeper,
        units: Units,
        open_secret: Callable[[SealedSecret], str],
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._open_secret = open_secret
        self._keeper = keeper
        self._units = units
        self._now = now

    def refresh(self, task: Claimed, context: Context) -> Effect:
        """Find new ones, mark those that are gone, and those that are back."""
        pool = self._database.read(lambda session: storage.load_pool(session, task.target))
        if pool is None:
            raise Obsolete(N_("The storage pool has been deleted."))
        self._keeper.ready(pool)
        at = self._now()
        seen, strange = self._look(pool)
        known = self._database.read(lambda session: discovery.known(session, pool.id))
        names = {one.name for one in known}
        fresh = [name for name in seen if name not in names]
        here = {one.id for one in known if one.name in seen and seen[one.name].is_still(one)}
        replaced = _replaced(known, strange)
        instead = {one.name for one in replaced}
        strange = [one for one in strange if one.name not in instead]
        present = [one for one in known if one.id in here]
        gone = [one for one in known if one.state in THERE and one.id not in here]
        back = [one for one in known if one.state == "missing" and one.id in here]
        # Of what is no plain file any more it is said what is there instead.
        told = [one for one in present if _tells(pool, one)] + replaced
        steps = _Steps(context, len(fresh) + len(gone) + len(back) + len(told))
        entered = missing = found_again = 0
        for batch in _batches(fresh):
            found = self._found(pool, batch, seen)
            taken = {one.name for one in found}
            why = _GONE if pool.what.files else _HOSTS
            strange += [Strange(name, why) for name in batch if name not in taken]
            entered += self._database.write(
                lambda session, found=found: discovery.enter(session, pool.uuid, found, self._now())  # type: ignore[misc]
            )
            steps.done(len(batch))
        for some in _batches(gone):
            lost = [one.id for one in self._still_gone(pool, some)]
            missing += self._database.write(lambda s, lost=lost: discovery.move(s, lost, THERE, "missing"))  # type: ignore[misc]
            steps.done(len(some))
        for some in _batches(back):
            found_again += self._come_back(pool, some)
            steps.done(len(some))
        self._measure(pool, present, seen, steps)
        logger.info(
            "pool refreshed %s",
            fields(
                pool=pool.name, seen=len(seen), new=entered, gone=missing, back=found_again, passed_over=len(strange)
            ),
        )
        said = N_("New: {new}, missing: {gone}, back again: {back}.")
        counts: dict[str, Any] = {"new": entered, "gone": missing, "back": found_again, "strange": len(strange)}
        if strange:
            said = N_("New: {new}, missing: {gone}, back again: {back}; no volumes: {strange} ({which}).")
            counts["which"] = named(strange)
        wrong = self._look_through(pool, told, {one.id: one.name for one in [*present, *replaced]}, steps)
        if wrong:
            # All else is written; this is what whoever asked must hear of.
            self._database.write(lambda session: discovery.measured(session, pool.id, at))
            raise Refused(
                N_("The storage pool was refreshed. {found} {count} of its volumes cannot be used: {reasons}"),
                found=[{"message": said, "parameters": counts}],
                count=len(wrong),
                reasons=[{"message": error.message, "parameters": error.parameters} for error in wrong[:_NAMED]],
            )

        def write(session: Session) -> None:
            discovery.measured(session, pool.id, at)
            tasks.tell(session, task.id, said, **counts)

        return write

    def _look_through(
        self, pool: PoolOrder, told: Sequence[Known], names: Mapping[int, str], steps: _Steps
    ) -> list[DosvmError]:
        """What is wrong with the heads of files; ``names`` are those of all that are there, by their ids."""

        def look(one: Known) -> DosvmError | None:
            backing = names.get(one.backing_id, "") if one.backing_id is not None else ""
            if one.backing_id is not None and not backing:
                return None  # what it rests on is missing, and said to be
            name = f"{pool.name}/{one.name}"
            wanted = Wanted(one.uuid, name, one.format, one.capacity, one.secret_id is not None, backing)
            try:
                volume_heads.look(Path(pool.path) / one.name, wanted)
            except Refused as error:
                return error
            except FileNotFoundError:
                pass  # it has been deleted meanwhile
            return None

        wrong: list[DosvmError] = []
        for some in _batches(told):
            wrong += [error for error in self._each(pool, some, look) if error is not None]
            steps.done(len(some))
        return wrong

    def _measure(self, pool: PoolOrder, here: Sequence[Known], seen: dict[str, Seen], steps: _Steps) -> None:
        """Write how large what is known is by now."""
        if pool.what.files:
            sizes = {one.id: seen[one.name].allocation for one in here if seen[one.name].allocation != one.allocation}
            for ids in _batches(list(sizes)):
                self._database.write(lambda s, ids=ids: discovery.allocate(s, {i: sizes[i] for i in ids}))  # type: ignore[misc]
                steps.done(0)
            return
        units = {one.id: Measured(*seen[one.name][:3]) for one in here}
        before = {one.id: Measured(one.capacity, one.allocation, one.path) for one in here}
        for ids in _batches([i for i, unit in units.items() if unit != before[i]]):
            self._database.write(lambda s, ids=ids: discovery.measure(s, {i: units[i] for i in ids}))  # type: ignore[misc]
            steps.done(0)

    def _touch(self, pool: PoolOrder, work: Callable[[], T]) -> T:
        try:
            return self._keeper.touch(pool.uuid, work, limit=intervals.LIBVIRT_LONG)
        except OSError as error:
            raise explained(error) from error

    def _each(self, pool: PoolOrder, some: Sequence[N], look: Callable[[N], T]) -> list[T]:
        """What a look at each of some files of a pool finds, in their order; :data:`_READERS` at the same time."""
        share = -(-len(some) // _READERS) or 1
        shares = [some[start : start + share] for start in range(0, len(some), share)]
        with ThreadPoolExecutor(_READERS, thread_name_prefix="refresh") as readers:
            found = readers.map(lambda part: self._touch(pool, lambda: [look(one) for one in part]), shares)
            return [one for part in found for one in part]

    def _look(self, pool: PoolOrder) -> tuple[dict[str, Seen], list[Strange]]:
        """All that is there, by name, and what no volume can be."""
        if pool.what.files:
            return self._touch(pool, lambda: _files(Path(pool.path)))
        found: dict[str, Seen] = {}
        strange: list[Strange] = []
        for unit in self._units.found(pool.uuid):
            name, path, key = self._touch(pool, lambda unit=unit: _told(pool, unit))  # type: ignore[misc]
            if name:
                found[name] = Seen(unit.capacity, unit.allocation, path, key)
            else:
                strange.append(Strange(unit.name, _NO_UNIT))
                logger.warning("no volume can be made of a unit %s", fields(pool=pool.name, unit=unit.name, path=path))
        return found, strange

    def _found(self, pool: PoolOrder, names: Sequence[str], seen: dict[str, Seen]) -> list[Found]:
        """What new ones are; those that are gone again are left out."""
        if not pool.what.files:
            # A block device is plain bytes, whatever is written at its beginning.
            hosts = self._each(pool, names, lambda name: self._is_hosts(pool, name, seen[name].path))
            return [
                Found(name, "raw", seen[name].size, seen[name].allocation, "present", seen[name].path, seen[name].key)
                for name, is_hosts in zip(names, hosts, strict=True)
                if not is_hosts
            ]

        def look(name: str) -> Found | None:
            told = _told_of(Path(pool.path) / name)
            if told is None:
                return None
            size = seen[name].allocation
            return Found(name, told.format, told.capacity, size, "foreign", encrypted=told.encrypted)

        return [found for found in self._each(pool, names, look) if found is not None]

    def _is_hosts(self, pool: PoolOrder, name: str, path: str) -> bool:
        """Whether the host itself uses a unit: its own system may be on a partition beside."""
        try:
            if not devices.KERNEL.claimed(path):
                return False
        except OSError as error:
            # One that is sick keeps nobody from the others; it may be well at the next refresh.
            reason = error.strerror or str(error)
            logger.warning("a unit cannot be opened %s", fields(pool=pool.name, unit=name, path=path, reason=reason))
            return True
        logger.warning("the host itself uses a unit %s", fields(pool=pool.name, unit=name, path=path))
        return True

    def _still_gone(self, pool: PoolOrder, some: Sequence[Known]) -> list[Known]:
        if not pool.what.files:
            return list(some)
        directory = Path(pool.path)
        there = self._each(pool, some, lambda one: _is_plain(directory / one.name))
        return [one for one, is_there in zip(some, there, strict=True) if not is_there]

    def _come_back(self, pool: PoolOrder, some: Sequence[Known]) -> int:
        """What is back is as it was, if it still is of its format; otherwise somebody must say what it is.

        How many are.
        """

        def fits(one: Known) -> bool:
            if not pool.what.files:
                return True
            if one.format == "raw" and one.secret_id is None:
                # Its guest writes what it likes to its beginning; it was raw, and is nothing else to anybody.
                return _is_plain(Path(pool.path) / one.name)
            told = _told_of(Path(pool.path) / one.name)
            if told is None:
                return False
            return told.format == one.format and (told.alone or one.backing_id is not None)

        fit = dict(zip([one.id for one in some], self._each(pool, some, fits), strict=True))
        right, wrong = ([i for i, is_right in fit.items() if is_right is which] for which in (True, False))

        def write(session: Session) -> int:
            as_before = discovery.move(session, right, ("missing",), "present")
            return as_before + discovery.move(session, wrong, ("missing",), "foreign")

        return self._database.write(write)

    def accept(self, task: Claimed, _context: Context) -> Effect:
        """``volume.accept``: look whether a file is what somebody says, and may be used as that."""
        order = self._database.read(lambda session: storage.load_volume(session, task.target))
        if order is None:
            raise Obsolete(N_("The volume has been deleted."))
        said = str(task.payload["format"])
        key = self._key(task)
        self._keeper.ready(order.pool)

        def look() -> volume_images.Size:
            path = file_of(Path(order.pool.path), order.name)
            if path is None:
                raise _missing(order)
            self._keeper.own.found().refuse(path, order.name)
            volume_heads.refuse_links(path, path.lstat(), order.uuid, order.name)
            with _opened_file(path) as descriptor:
                if descriptor is None:
                    raise _missing(order)
                _refuse_unfit(descriptor, order.name, said, key)
            if key is not None:
                return _opened(order, said, key, self._open_secret(key))
            return volume_images.look(Layer(order.path, said))

        size = self._touch(order.pool, look)
        values = {"state": "present", "format": said, "capacity": size.capacity, "allocation": size.allocation}
        values["looks_encrypted"] = False  # its secret says it from now on
        project_id = task.payload.get("project")

        def write(session: Session) -> None:
            # Of two that were ordered together the other may have taken the room.
            fit_found(session, order.id, size.capacity)
            if project_id is not None:
                # Whose it becomes, and whether that fits: as it is by now, with the size that it truly has.
                fit_given(session, int(project_id), order.pool.id, size.capacity)
                values["project_id"] = int(project_id)
            if key is not None:
                values["secret_id"] = storage.tried_secret(session, key)
            done(storage.record_volume(session, order.uuid, **values))

        return write

    def _key(self, task: Claimed) -> SealedSecret | None:
        """The secret that a task names."""
        uuid = task.payload.get("secret")
        if uuid is None:
            return None
        key = self._database.read(lambda session: storage.load_secret(session, str(uuid)))
        if key is None:
            raise Obsolete(N_("The secret has been deleted."))
        return key


def _opened(order: storage.VolumeOrder, said: str, key: SealedSecret, passphrase: str) -> volume_images.Size:
    """How large an encrypted image is that the passphrase opens."""
    try:
        return volume_images.open_and_look(Layer(order.path, said, passphrase))
    except EngineError as error:
        if not is_wrong(error):
            raise
        raise InvalidInput(
            N_("{file} does not open with the value of secret {secret}."),
            field="secret",
            remedy=N_("Choose the secret whose value it was encrypted with, or give that value to this one."),
            file=order.name,
            secret=key.name,
        ) from error


def _told(pool: PoolOrder, unit: Unit) -> tuple[str, str, str]:
    """The name of a unit, empty when none can be a volume; its path; and what tells it from another one."""
    try:
        name, path = blocks.named(pool, unit.name, unit.path)
        if not _wrong_name(name) and blocks.is_unit(pool, path):
            return name, path, blocks.key_of(path)
    except OSError as error:
        logger.warning("a unit cannot be looked at %s", fields(pool=pool.name, path=unit.path, reason=error.strerror))
    return "", unit.path, ""


def _missing(order: storage.VolumeOrder) -> Refused:
    return Refused(N_("The file of volume {name} is missing in {path}."), name=order.name, path=order.pool.path)


def _refuse_unfit(descriptor: int, name: str, said: str, key: SealedSecret | None) -> None:
    """Refuse a file that is not what somebody says, in the words in which images are refused."""
    if not os.fstat(descriptor).st_size:
        raise InvalidInput(
            N_("{file} is empty."),
            field="volume",
            remedy=N_("Remove the file and refresh the storage pool: the volume is missing then, and can go."),
            file=name,
        )
    image_files.refuse_other(descriptor, name, said)
    told = image_headers.read(descriptor)
    if not told.alone:
        raise InvalidInput(
            N_("{file} is only the difference to another file, or keeps its data there."),
            field="volume",
            remedy=image_files.FLATTEN,
            file=name,
        )
    if told.encrypted and key is None:
        raise InvalidInput(
            N_("{file} is encrypted."),
            field="secret",
            remedy=N_("Name the secret that it opens with (`--secret`); make one of its passphrase first."),
            file=name,
        )
    if key is not None and not told.encrypted:
        raise InvalidInput(
            N_("{file} is not encrypted."), field="secret", remedy=N_("Accept it without a secret."), file=name
        )
    if not told.capacity:
        image_files.check_size(name, told.claims, field="volume")
    if said in ("raw", "qcow2", "qcow"):
        try:
            image_files.read(descriptor, name, said, encrypted=key is not None)
        except InvalidInput as error:
            # It is the volume's; what an image is called has a field of its own.
            error.field = "volume" if error.field == "file" else error.field
            raise


def named(strange: Sequence[Strange]) -> list[dict[str, Any]]:
    """The first of what is no volume, with why, and how many more there are: sentences for an error's parameter."""
    said: list[dict[str, Any]] = []
    shown = sorted(strange)[:_NAMED]
    for number, one in enumerate(shown):
        last = number == len(shown) - 1
        name = escaped(one.name[:_LONGEST]) + ("…" if len(one.name) > _LONGEST else "")
        text = N_("{name}: {reason}") if last else N_("{name}: {reason};")
        said.append({"message": text, "parameters": {"name": name, "reason": [{"message": one.why, "parameters": {}}]}})
    if len(strange) > len(shown):
        said.append({"message": N_("and {count} more"), "parameters": {"count": len(strange) - len(shown)}})
    return said


def _tells(pool: PoolOrder, one: Known) -> bool:
    """Whether the head of a volume's file is DOSVM's own to read: that of a raw one is its guest's."""
    return pool.what.files and one.state == "present" and (one.format != "raw" or one.secret_id is not None)


def _files(directory: Path) -> tuple[dict[str, Seen], list[Strange]]:
    found: dict[str, Seen] = {}
    strange: list[Strange] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            why = _wrong_name(entry.name) if entry.is_file(follow_symlinks=False) else _NO_FILE
            if why:
                strange.append(Strange(entry.name, why))
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            found[entry.name] = Seen(status.st_size, status.st_blocks * 512)
    return found, strange


def _replaced(known: Sequence[Known], strange: Sequence[Strange]) -> list[Known]:
    """Volumes in the place of whose file something else is: a link, or a directory."""
    names = {one.name for one in strange if one.why == _NO_FILE}
    return [one for one in known if one.name in names and one.state in (*THERE, "missing")]


def _is_plain(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _wrong_name(name: str) -> str:
    """The msgid of why no volume can have a name; empty: it can."""
    if len(name) > _LONGEST:
        return _LONG
    if not printable(name) or not is_seen(name):
        return _UNSEEN
    return _BLANKS if name != name.strip() else ""


def _told_of(path: Path) -> image_headers.Told | None:
    """What a plain file says of itself; None when there is none, also behind a link."""
    with _opened_file(path) as descriptor:
        return image_headers.read(descriptor) if descriptor is not None else None


@contextlib.contextmanager
def _opened_file(path: Path) -> Iterator[int | None]:
    """A plain file, open for reading; None when there is none, also behind a link."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        yield descriptor if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    finally:
        os.close(descriptor)


def _batches(all_: Sequence[N]) -> Iterator[Sequence[N]]:
    for start in range(0, len(all_), BATCH):
        yield all_[start : start + BATCH]


def handlers(
    database: Database,
    keeper: Keeper,
    units: Units,
    open_secret: Callable[[SealedSecret], str],
    now: Callable[[], datetime],
) -> dict[str, Handler]:
    """Task kind -> handler; ``open_secret`` tells the value of a security object."""
    work = RefreshTasks(database, keeper, units, open_secret, now)
    return {
        "pool.refresh": Handler(work.refresh, _TOPICS, storage=True),
        "volume.accept": Handler(work.accept, _TOPICS, storage=True),
    }
