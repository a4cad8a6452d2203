"""Makes a VM run, or not run, on this host: used by tasks and by the reconciler alike.

Everything here looks before it acts, so that it may be repeated after hostd died in the middle: a domain
that runs already under the same epoch is taken over, an overlay that was left is made anew.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy.orm import Session

from core.clock import Clock
from core.coordination import machines as orders
from core.coordination import states, tasks
from core.coordination.states import MachineState
from core.database import Database
from core.errors import DatabaseUnavailable, DosvmError, EngineError, Refused
from core.i18n import N_
from core.libvirt_xml.domain import domain_xml
from core.model import Power, State
from core.security.vault import Vault
from core.specs.order import BackingFile, DiskOrder, MachineOrder
from hostd import image_locks, intervals
from hostd.disks import Disks
from hostd.faults import point
from hostd.halts import halt_error
from hostd.handling import Effect, Interrupted, Obsolete, Record
from hostd.hypervisor.domains import Domain, Domains
from hostd.hypervisor.errors import Missing
from hostd.hypervisor.events import Events
from hostd.hypervisor.probe import Probe
from hostd.hypervisor.secrets import Secrets, explain
from hostd.log import fields
from hostd.runs import Runs
from hostd.turns import Turns

logger = logging.getLogger("hostd.machines")

#: Seconds a start waits for the probe that decides between KVM and TCG.
_PROBE_PATIENCE = 20.0
#: Seconds for which an order counts as just read; preparing disks may take longer than that.
_FRESH = 0.5
#: So many VMs are made at the same time for each processor. libvirtd and a QEMU that comes up wait for each other: with
#: one a processor idles (100 by `virsh start` on two processors: 26.7 s by two at once, 22.4 by four, 28.0 by eight).
_AT_ONCE = 2
#: A guest may overlook the first press of its power button while it boots: it is pressed again.
_PRESS_AGAIN = 15.0


class Machines:
    """Starts and stops VMs on this host."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        host_id: Callable[[], int | None],
        domains: Domains,
        events: Events,
        probe: Probe,
        vault: Vault,
        disks: Disks,
        runs: Runs,
        secrets: Secrets,
    ) -> None:
        """Prepare.

        Args:
            database: where orders come from.
            clock: the time.
            host_id: this host's id.
            domains: what runs.
            events: tells when a domain ends.
            probe: tells KVM from TCG.
            vault: opens the passwords of screens.
            disks: makes files ready.
            runs: is told at once of a run that began.
            secrets: what encrypted volumes are opened with.
        """
        self._database = database
        self._clock = clock
        self._host_id = host_id
        self._domains = domains
        self._events = events
        self._probe = probe
        self._vault = vault
        self._disks = disks
        self._runs = runs
        self._secrets = secrets
        self.turns = Turns(_AT_ONCE * len(os.sched_getaffinity(0)), intervals.START_PATIENCE)
        """Whose turn it is to be made."""

    def observe(self, uuid: str, domain: Domain | None, before: MachineState | None = None) -> dict[str, Any]:
        """What the database should say of a machine, given its domain (None: it does not run, or not yet)."""
        if domain is None:
            state = State.UNKNOWN if self._domains.unanswered(uuid) else State.OFF
            return {"state": state.value, **states.NO_RUN}
        values: dict[str, Any] = {"state": domain.state}
        try:
            description = self._domains.describe(domain.uuid)
        except Missing:
            return self.observe(uuid, None)
        values["halt_error"] = self._halt_error(domain)
        values |= {
            "vnc_port": description.vnc_port,
            "spice_port": description.spice_port,
            "screen_address": description.address[:64],
            "accelerator": description.accelerator,
            "start_error": "",
        }
        if before is None or before.started is None:
            values["started"] = self._clock.now()
        return values

    def _halt_error(self, domain: Domain) -> str:
        def order() -> MachineOrder | None:
            return self._database.read(lambda session: orders.load(session, domain.uuid, self._vault))

        return halt_error(domain, self._domains, order)

    def _load(self, uuid: str, epoch: int | None) -> MachineOrder:
        order = self._database.read(lambda session: orders.load(session, uuid, self._vault))
        if order is None:
            raise Obsolete(N_("The VM has been deleted."))
        self._check(order.host_id, order.epoch, order.power, epoch)
        return order

    def _check(self, host_id: int | None, epoch: int, power: str, wanted: int | None) -> None:
        if host_id != self._host_id():
            raise Obsolete(N_("The VM is placed on another host now."))
        if wanted is not None and epoch != wanted:
            raise Obsolete(N_("The VM has been started anew meanwhile."))
        if power != Power.ON.value:
            raise Obsolete(N_("The VM has been switched off meanwhile."))

    def start(self, uuid: str, epoch: int | None, closing: threading.Event | None = None) -> Effect:
        """Make a machine run; returns what to write about it.

        Args:
            uuid: the machine.
            epoch: the placement that the order to start speaks of; None: whatever holds now.
            closing: set when hostd ends.

        Raises:
            Interrupted: hostd ends before it was its turn.
            Obsolete: it is to run elsewhere, anew, or not at all.
            DosvmError: it cannot be started; nothing is left behind.
        """
        order = self._load(uuid, epoch)
        loaded = time.monotonic()
        point("loaded")
        domain = self._domains.find(uuid)
        if domain is not None:
            domain = self._take_over(domain, order)
        if domain is None:
            # While its task is open nobody can place the VM anew; without one, somebody may at any moment.
            domain = self._create(order, loaded if epoch is not None else 0.0, closing)
        self._runs.running({uuid: domain}, 0)
        values = self.observe(uuid, domain)
        host_id = order.host_id
        assert host_id is not None

        return Record(uuid, host_id, order.epoch, values, lambda: point("after_record"))

    def _take_over(self, domain: Domain, order: MachineOrder) -> Domain | None:
        """What to do with a domain that runs already: keep it, or end it because it is of an earlier placement."""
        if domain.epoch is None:
            raise Refused(
                N_("libvirt runs a domain with this VM's UUID that DOSVM did not start ({name})."),
                remedy=N_("End it with `virsh destroy`, then start the VM again."),
                name=domain.name,
            )
        if domain.epoch > order.epoch:
            raise Obsolete(N_("The VM has been started anew meanwhile."))
        if domain.epoch == order.epoch:
            return domain
        logger.info("ending a run of an earlier placement %s", fields(vm=order.name, epoch=domain.epoch))
        self._domains.destroy(domain.uuid)
        self._gone(domain.uuid, intervals.LIBVIRT_NORMAL, None)
        return None

    def _create(self, order: MachineOrder, loaded: float, closing: threading.Event | None) -> Domain:
        accelerator = self._accelerator(order)
        with contextlib.ExitStack() as always, contextlib.ExitStack() as undo:
            undo.callback(self._disks.remove, order.uuid)
            always.callback(self._disks.started, order.uuid)
            ready, overlays = self._disks.prepare(order)
            looked = time.monotonic()
            point("prepared")
            xml = domain_xml(ready, accelerator=accelerator, overlays=overlays)
            with self.turns():
                if closing is not None and closing.is_set():
                    raise Interrupted
                if time.monotonic() - looked > _FRESH:
                    self._disks.look_again(order)
                domain = self._make(order, ready, xml, loaded)
            point("after_create")
            undo.pop_all()
            return domain

    def _make(self, order: MachineOrder, ready: MachineOrder, xml: str, loaded: float) -> Domain:
        if time.monotonic() - loaded > _FRESH:
            self._still_placed(order)
        files: list[DiskOrder | BackingFile] = [*ready.disks]
        files += [file for disk in ready.disks for file in disk.backing]
        encrypted = [(file.name, file.secret) for file in files if file.secret is not None]
        try:
            # QEMU is given them when it starts, and needs them from libvirt no more.
            with self._secrets.lent(*(secret for _name, secret in encrypted)):
                point("before_create")
                return self._domains.create(xml, order.uuid, order.epoch)
        except Missing:
            # It ended at once; the reconciler will see to it.
            raise EngineError(N_("The VM ended as soon as it was started.")) from None
        except EngineError as error:
            explain(error, encrypted)
            image_locks.explain(error, [(file.name, file.path) for file in files])
            raise

    def _accelerator(self, order: MachineOrder) -> str:
        wanted = order.spec.accelerator
        if wanted == "tcg":
            return wanted
        found = self._probe.wait(_PROBE_PATIENCE)
        if wanted == "kvm" and found.kind != "kvm":
            raise Refused(
                N_("The instance wants KVM, and this host has none: {reason}."),
                remedy=N_("Let the instance choose by itself, or bind it to a host with KVM."),
                reason=found.reason,
            )
        return found.kind

    def _still_placed(self, order: MachineOrder) -> None:
        """Look at the placement once more, right before the act."""
        found = self._database.read(lambda session: states.of_uuids(session, [order.uuid])).get(order.uuid)
        if found is None:
            raise Obsolete(N_("The VM has been deleted."))
        self._check(found.host_id, found.epoch, found.power, order.epoch)

    def stop(self, uuid: str, *, force: bool, closing: threading.Event, epoch: int | None = None) -> Effect:
        """Make a machine not run; returns what to write about it.

        The guest is asked first, and switched off when it does not follow in time.

        Args:
            uuid: the machine.
            force: do not ask.
            closing: set when hostd ends.
            epoch: the placement that shall end. When the VM was ordered to start anew behind this order, the run of
                that placement is ended all the same, as gently as was asked, and the start comes after it. None: the
                one of now.

        Raises:
            Obsolete: it runs anew already, or shall run on.
            Interrupted: hostd ends.
        """
        found = self._database.read(lambda session: states.of_uuids(session, [uuid])).get(uuid)
        here = found is not None and found.host_id == self._host_id()
        domain = self._domains.find(uuid)
        started_anew = found is not None and here and found.power == Power.ON.value
        if found is not None and started_anew:
            newer = domain is not None and (domain.epoch is None or epoch is None or domain.epoch > epoch)
            if epoch is None or epoch >= found.epoch or newer:
                raise Obsolete(N_("The VM has been started anew meanwhile."))
        mine = found if here and not started_anew else None
        if domain is not None and domain.epoch is not None:
            point("before_stop")
            if not force:
                if mine is not None:
                    self._say_stopping(mine)
                force = not self._ask(domain, closing)
            if force:
                self._destroy(uuid)
            point("after_stop")
        self._disks.remove(uuid)
        if mine is None:
            return lambda _session: None
        if not self.certain(uuid, closing):
            raise EngineError(
                N_("libvirtd has not answered yet whether the VM starts: it may still come up on this host."),
                remedy=N_("It is looked for by itself as soon as libvirtd answers. Restart libvirtd if it never does."),
            )
        values = self.observe(uuid, None) | {"start_error": ""}
        host_id, now = mine.host_id, mine.epoch
        assert host_id is not None
        return Record(uuid, host_id, now, values)

    def certain(self, uuid: str, closing: threading.Event) -> bool:
        """Whether a VM of which libvirt has no domain stays away: no start of it is still to be answered.

        Raises:
            DosvmError: libvirtd does not answer.
        """
        return self._domains.certain(uuid, closing.wait)

    def _say_stopping(self, found: MachineState) -> None:
        host_id = found.host_id
        if host_id is not None and found.state != State.STOPPING.value:
            values = {"state": State.STOPPING.value}
            self._database.write(lambda s: states.record(s, found.uuid, host_id, found.epoch, values))

    def _ask(self, domain: Domain, closing: threading.Event) -> bool:
        """Ask the guest to switch itself off; whether it did."""
        if domain.state == State.PAUSED.value:
            # A paused guest hears nothing.
            with contextlib.suppress(DosvmError):
                self._domains.resume(domain.uuid)
        give_up = time.monotonic() + intervals.SHUTDOWN
        while (left := give_up - time.monotonic()) > 0:
            try:
                self._domains.shutdown(domain.uuid)
            except Missing:
                return True
            except DosvmError as error:
                logger.info("cannot ask the guest to stop %s", fields(vm=domain.uuid, reason=error.text()))
                return False
            if self._gone(domain.uuid, min(left, _PRESS_AGAIN), closing, gently=True):
                return True
            if self._forced(domain.uuid):
                return False
        return False

    def _forced(self, uuid: str) -> bool:
        """Whether somebody lost patience meanwhile and asked to force it."""
        try:
            return self._database.read(lambda session: tasks.force_waits(session, uuid))
        except DatabaseUnavailable:
            return False

    def _destroy(self, uuid: str) -> None:
        try:
            self._domains.destroy(uuid)
        except Missing:
            return
        if not self._gone(uuid, intervals.LIBVIRT_NORMAL, None):
            raise EngineError(N_("libvirt switched the VM off, but it still runs."))

    def _gone(self, uuid: str, seconds: float, closing: threading.Event | None, *, gently: bool = False) -> bool:
        """Wait by libvirt's events until a domain does not run; whether it does not.

        ``gently`` gives up as soon as a forced stop waits.
        """
        give_up = time.monotonic() + seconds
        with self._events.watch(uuid) as news:
            while self._domains.find(uuid) is not None:
                left = give_up - time.monotonic()
                if left <= 0:
                    return False
                if closing is not None and closing.is_set():
                    raise Interrupted
                if gently and self._forced(uuid):
                    return False
                # Events may be lost with a connection: look by oneself from time to time.
                news.wait(min(left, 1.0))
                news.clear()
        return True

    def tell(self, uuid: str, verb: Callable[[str], None]) -> Effect:
        """Do something to a machine that runs here (suspend, reset ...); returns what to write about it.

        Raises:
            Refused: it does not run here.
        """
        domain = self._domains.find(uuid)
        if domain is None or domain.epoch is None:
            raise Refused(N_("The VM does not run on this host."), remedy=N_("Start it first."))
        verb(uuid)
        found = self._database.read(lambda session: states.of_uuids(session, [uuid])).get(uuid)
        after = self._domains.find(uuid)
        if found is None or found.host_id is None or after is None:
            return lambda _session: None
        host_id, values = found.host_id, {"state": after.state, "halt_error": self._halt_error(after)}
        return Record(uuid, host_id, found.epoch, values)

    def go_on(self, uuid: str) -> Effect:
        """Resume a machine that storage made stand still, if its storage answers; returns what to write about it.

        Raises:
            Obsolete: it is to run elsewhere, or not at all.
            DosvmError: the storage does not answer, or the machine does not run.
        """
        self._disks.reach(self._load(uuid, None))
        return self.tell(uuid, self._domains.resume)

    def start_failed(self, uuid: str, epoch: int | None, error: DosvmError) -> Effect:
        """What to write when a start failed: the reason; that it shall be on stays.

        One that libvirtd has not answered may still come up here. So nobody may start the VM elsewhere until it has.

        Args:
            uuid: the machine.
            epoch: the placement whose start failed: a later one has not failed yet.
            error: why.
        """
        host_id = self._host_id()
        values = {
            "state": (State.UNKNOWN if self._domains.unanswered(uuid) else State.FAILED).value,
            "start_error": json.dumps(error.to_wire(), ensure_ascii=False, default=str),
        }

        def write(session: Session) -> None:
            found = states.of_uuids(session, [uuid]).get(uuid)
            if found is None or found.host_id != host_id or host_id is None or epoch not in (None, found.epoch):
                return
            states.record(session, uuid, host_id, found.epoch, values)

        return write
