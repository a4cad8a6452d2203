"""Migrates VMs that run, from this host to another, and takes over those that come.

At any moment at most one copy of a VM may run, and which one says the database alone: the copy on the target is of the
next epoch and stands still until the VM has been handed over to that, which happens only when nothing of it is left
here. So whatever dies in the middle, who looks afterwards knows what to do, and looking is all that the task does when
it is taken up again:

* the VM is here: the copy there is nothing worth, the VM goes on here;
* it is not here, and a copy is there: hand it over, let it run;
* it is neither here nor there: it ended, and is started anew as any VM that ended;
* it is not here, and that host does not answer: wait; at last start anew, under an epoch that outlaws the copy.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy.orm import Session

from core.coordination import machines as orders
from core.coordination import migration, states, tasks
from core.coordination.migration import Standing
from core.coordination.tasks import Claimed
from core.database import Database
from core.errors import DosvmError, EngineError, HypervisorUnavailable
from core.i18n import N_
from core.security.vault import Vault
from hostd import intervals
from hostd.disks import Disks
from hostd.faults import point
from hostd.handling import Context, Effect, Interrupted, Obsolete, done
from hostd.hypervisor.domains import Domains
from hostd.hypervisor.errors import Missing, Stuck, TooSlow
from hostd.hypervisor.migration import Mover, Severed
from hostd.log import fields
from hostd.machines import Machines

logger = logging.getLogger("hostd.migration")


class _Unreached(EngineError):
    """The target was asked just now, and does not answer: it is not asked again before that is said."""

    code = "migration-unreached"


class Migration:
    """The tasks of a migration: ``machine.receive`` on the target, ``migrate`` on the source, ``arrive`` there."""

    def __init__(
        self,
        database: Database,
        host_id: Callable[[], int | None],
        domains: Domains,
        mover: Mover,
        machines: Machines,
        disks: Disks,
        vault: Vault,
        ring: Callable[[int], None],
        libvirt_back: Callable[[float], bool],
    ) -> None:
        """Prepare.

        Args:
            database: where it stands who has the VM.
            host_id: this host's id.
            domains: what runs here.
            mover: libvirt's part.
            machines: what is said of a VM that arrived.
            disks: looks at the files before a VM comes.
            vault: opens what an order holds.
            ring: wakes the hostd of a host.
            libvirt_back: waits for this host's libvirtd; whether it answers.
        """
        self._database = database
        self._host_id = host_id
        self._domains = domains
        self._mover = mover
        self._machines = machines
        self._disks = disks
        self._vault = vault
        self._ring = ring
        self._libvirt_back = libvirt_back

    # -- on the target, before

    def receive(self, task: Claimed) -> Effect:
        """Look whether the files of a VM that is to come are here; then its migration is ordered."""
        source, epoch, me = int(task.payload["source"]), int(task.payload["epoch"]), self._me()
        self._wanted(self._standing(task.target, me), source, epoch, me)
        order = self._database.read(lambda session: orders.load(session, task.target, self._vault))
        if order is None:
            raise Obsolete(N_("The VM has been deleted."))
        try:
            self._disks.prepare(order)
        finally:
            self._disks.started(order.uuid)

        def write(session: Session) -> None:
            tasks.follow(session, task, "machine.migrate", source, {"epoch": epoch, "target": me})

        return write

    def received(self, task: Claimed) -> None:
        """The migration has been ordered: tell the host that does it."""
        self._ring(int(task.payload["source"]))

    def migrated(self, task: Claimed) -> None:
        """The VM was handed over, and its next task waits for this one's end: tell the host that has it."""
        self._ring(int(task.payload["target"]))

    # -- on the source

    def migrate(self, task: Claimed, context: Context) -> Effect:
        """Bring a VM to another host, wherever an earlier run of hostd left that.

        Raises:
            Obsolete: it shall not go there any more.
            Interrupted: hostd ends; libvirt goes on by itself.
            DosvmError: it stays here, and says why.
        """
        uuid, epoch, target = task.target, int(task.payload["epoch"]), int(task.payload["target"])
        begin = time.monotonic()
        failure: DosvmError | None = None
        severed = False
        while True:
            found = self._standing(uuid, target)
            if found is None:
                raise Obsolete(N_("The VM has been deleted."))
            if (found.host_id, found.epoch) == (target, epoch + 1):
                return _nothing
            if (found.host_id, found.epoch) != (self._me(), epoch):
                raise Obsolete(N_("The VM has been started anew meanwhile."))
            here, under_way = self._look(uuid, context)
            if not here:
                return self._hand_over(task, found, epoch, target, context)
            if under_way:
                failure = self._follow(uuid, target, begin, context)
                continue
            if failure is not None or not (found.on and found.moving_id == target):
                reached = self._stays(uuid, found, epoch, ask=not isinstance(failure, _Unreached))
                if isinstance(failure, Severed) and reached and not severed:
                    # The network stumbled, or that libvirtd was restarted: it answers again, and nothing is lost.
                    failure, severed = None, True
                    continue
                raise failure or Obsolete(N_("The VM stays where it is: its migration was taken back."))
            failure = self._move(uuid, found, epoch, target, begin, context)

    def _look(self, uuid: str, context: Context) -> tuple[bool, bool]:
        """Whether the VM is here, and whether it is being migrated; waits for libvirtd, without which nobody knows."""
        while True:
            try:
                if self._domains.find(uuid) is None:
                    return False, False
                return True, self._mover.progress(uuid) is not None
            except Missing:
                continue  # it went at this very moment
            except (HypervisorUnavailable, Stuck, TooSlow):
                if context.closing.wait(intervals.MIGRATION_LOOK):
                    raise Interrupted from None
                self._libvirt_back(1.0)

    def _move(
        self, uuid: str, found: Standing, epoch: int, target: int, begin: float, context: Context
    ) -> DosvmError | None:
        """Begin the migration and follow it to its end; why it failed, or None."""
        if not found.url:
            return EngineError(N_("libvirtd of host {host} takes no VMs from other hosts."), host=found.target)
        try:
            self._remove_copy(uuid, found, epoch)
        except DosvmError as error:
            # Of an absent libvirtd the reason alone: its sentence speaks of "this host".
            reason = str(error.parameters.get("reason", "")) or error.text()
            return _Unreached(
                N_("libvirtd of host {host} cannot be reached: {reason}"), host=found.target, reason=reason
            )
        point("before_move")
        ended = threading.Event()
        failures: list[DosvmError] = []

        def move() -> None:
            try:
                self._mover.move(uuid, found.url, epoch + 1)
            except DosvmError as error:
                failures.append(error)
            finally:
                ended.set()

        logger.info("migrating %s", fields(vm=found.name, to=found.target))
        threading.Thread(target=move, name=f"migrate-{uuid[:8]}", daemon=True).start()
        why = self._follow(uuid, target, begin, context, ended)
        point("after_move")
        return why or (failures[0] if failures else None)

    def _remove_copy(self, uuid: str, found: Standing, epoch: int) -> None:
        """Remove the copy that an earlier try may have left on the target; the VM is here.

        Raises:
            DosvmError: the target cannot be asked.
        """
        with self._mover.target(found.url) as there:
            copy = there.find(uuid)
            if copy is not None and copy.epoch == epoch + 1:
                there.destroy(uuid)

    def _follow(
        self, uuid: str, target: int, begin: float, context: Context, ended: threading.Event | None = None
    ) -> DosvmError | None:
        """Wait until a migration ends, and end it when it is not wanted any more or takes too long; then says why."""
        why: DosvmError | None = None
        while not (ended.wait(intervals.MIGRATION_LOOK) if ended else context.closing.wait(intervals.MIGRATION_LOOK)):
            if context.closing.is_set():
                raise Interrupted
            try:
                progress = self._mover.progress(uuid)
            except Missing:
                progress = None
            except DosvmError:
                continue
            if progress is not None:
                point("moving")
                context.progress(progress)
                why = why or self._unwanted(uuid, target, begin)
                if why is not None:
                    with contextlib.suppress(DosvmError):
                        self._mover.abort(uuid)
            elif ended is None:
                return why
        if ended is None:
            raise Interrupted
        return why

    def _unwanted(self, uuid: str, target: int, begin: float) -> DosvmError | None:
        if time.monotonic() - begin > intervals.MIGRATION:
            return EngineError(
                N_("The VM changes its memory faster than it can be sent: it was not done after {minutes} minutes."),
                minutes=round(intervals.MIGRATION / 60),
            )
        try:
            found = self._standing(uuid, target)
        except DosvmError:
            # Without the database nobody knows better, and it can be handed over only when that answers.
            return None
        if found is None or not found.on or found.moving_id != target:
            return Obsolete(N_("The VM stays where it is: its migration was taken back."))
        return None

    def _stays(self, uuid: str, found: Standing, epoch: int, *, ask: bool) -> bool:
        """The VM is here and stays: remove the copy, as far as it can be reached, and let the VM go on.

        A copy that cannot be reached stands still, and its own host ends it once the task is over.

        Returns:
            Whether the target was asked (``ask``) and answered.
        """
        reached = False
        with contextlib.suppress(DosvmError):
            if ask and found.url:
                self._remove_copy(uuid, found, epoch)
                reached = True
        with contextlib.suppress(Missing):
            self._mover.go_on(uuid)
        return reached

    def _hand_over(self, task: Claimed, found: Standing, epoch: int, target: int, context: Context) -> Effect:
        """The VM is not here any more: give it to the host that has it, or find that none has."""
        uuid, me = task.target, self._me()
        give_up = time.monotonic() + intervals.MIGRATION_LOST
        while True:
            try:
                with self._mover.target(found.url) as there:
                    copy = there.find(uuid)
                    if copy is None or copy.epoch != epoch + 1:
                        raise EngineError(N_("The VM ended while it was migrated."))
                    self._give(task, me, epoch, target)
                    point("after_hand_over")
                    # Its own host does so too; this saves the guest the way there.
                    with contextlib.suppress(DosvmError):
                        there.resume(uuid)
                logger.info("migrated %s", fields(vm=found.name, to=found.target))
                return _nothing
            except (HypervisorUnavailable, Stuck, TooSlow) as error:
                if context.closing.wait(1.0):
                    raise Interrupted from None
                if time.monotonic() > give_up:
                    # Its memory is lost: what may be left of it there must never run.
                    self._database.write(lambda s: done(migration.give_up(s, uuid, me, epoch, lost=True)))
                    raise EngineError(
                        N_("Host {host}, which has the VM's memory, does not answer: the VM starts anew."),
                        host=found.target,
                    ) from error

    def _give(self, task: Claimed, me: int, epoch: int, target: int) -> None:
        def write(session: Session) -> None:
            if not migration.hand_over(session, task.target, me, epoch, target):
                raise Obsolete(N_("The VM has been started anew meanwhile."))
            tasks.follow(session, task, "machine.arrive", target, {"epoch": epoch + 1})

        self._database.write(write)

    def failed(self, task: Claimed) -> Effect:
        """What to write when a VM stays where it is: nobody keeps room for it elsewhere any more."""
        epoch = int(task.payload["epoch"])
        source = int(task.payload.get("source") or self._me())

        def write(session: Session) -> None:
            migration.give_up(session, task.target, source, epoch)

        return write

    # -- on the target, after

    def arrive(self, task: Claimed) -> Effect:
        """Let a VM run that was handed over to this host, and write where it is reached now."""
        uuid, epoch, me = task.target, int(task.payload["epoch"]), self._me()
        point("before_arrival")
        row = self._database.read(lambda session: states.of_uuids(session, [uuid])).get(uuid)
        if row is None or (row.host_id, row.epoch) != (me, epoch):
            raise Obsolete(N_("The VM has been started anew meanwhile."))
        domain = self._domains.find(uuid)
        if domain is None or domain.epoch != epoch:
            raise EngineError(N_("The VM ended while it was migrated."))
        if domain.state == "paused":
            with contextlib.suppress(Missing):
                self._domains.resume(uuid)
            domain = self._domains.find(uuid)
        values: dict[str, Any] = self._machines.observe(uuid, domain, row)
        return lambda session: done(states.record(session, uuid, me, epoch, values))

    # --

    def _me(self) -> int:
        host_id = self._host_id()
        if host_id is None:
            raise HypervisorUnavailable("not registered")
        return host_id

    def _standing(self, uuid: str, target: int) -> Standing | None:
        return self._database.read(lambda session: migration.standing(session, uuid, target))

    def _wanted(self, found: Standing | None, source: int, epoch: int, me: int) -> None:
        if found is None or (found.host_id, found.epoch) != (source, epoch) or not found.on or found.moving_id != me:
            raise Obsolete(N_("The VM stays where it is: its migration was taken back."))


def _nothing(_session: Session) -> None:
    """All that is to be written has been."""
