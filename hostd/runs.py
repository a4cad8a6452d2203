"""Keeps account of how long VMs really run on this host (manual 7.3.1).

A run is a QEMU process; it begins when the process did, which the kernel remembers, and ends when the kernel says so
(a descriptor of the process tells, whether libvirtd and the database are there or not). In between libvirt's events
say when it stands still. What is known is kept here and written to the database by a thread of its own, as soon as
that answers. After a death of hostd the open runs are taken up from the database: a process that lives goes on
counting; of one that ended meanwhile libvirt's log knows when; and if nobody knows, the last heartbeat does.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from core.coordination import runs
from core.coordination.runs import Run
from core.database import Database
from core.errors import DosvmError
from core.libvirt_xml.domain import domain_name
from core.model import State
from core.planning.run_time import RunTime
from hostd.hypervisor.domains import Domain
from hostd.hypervisor.events import Event, Events
from hostd.intervals import rest_after
from hostd.log import Throttled, fields
from hostd.processes import PROC, RUN_DIRECTORY, QemuFinder, began_ms, boot_clock_ms, kernel_boot
from hostd.qemu_log import LOG_DIRECTORY, ended_at, wall_of

logger = logging.getLogger("hostd.runs")

#: Seconds between two tries to write what the database did not take.
_AGAIN = 1.0
#: Process ids of the libvirt daemons that run QEMU, whichever of them a distribution uses.
_DAEMONS = ("libvirtd.pid", "libvirt/libvirtd.pid", "virtqemud.pid", "libvirt/virtqemud.pid")


@dataclass
class _Kept:
    """A run that goes on, the descriptor of its process, and whether the database knows all of it."""

    run: Run
    number: int
    descriptor: int
    fresh: bool = True
    seen: int = 0
    """When it was last seen to be as the account says: of hundreds, every few seconds, so the account is not remade."""

    @property
    def account(self) -> RunTime:
        """The account as of then."""
        return self.run.time.seen(self.seen)


class Runs:
    """The runs of this host's VMs."""

    def __init__(
        self,
        database: Database,
        host_uuid: str,
        events: Events,
        *,
        proc: Path = PROC,
        run_directory: Path = RUN_DIRECTORY,
        log_directory: Path = LOG_DIRECTORY,
    ) -> None:
        """Prepare.

        Args:
            database: where runs are kept.
            host_uuid: this host.
            events: tells when a domain stands still and goes on.
            proc: the kernel's.
            run_directory: libvirt's, of processes and states.
            log_directory: libvirt's, of the logs of domains.
        """
        self._database = database
        self._host_uuid = host_uuid
        self._proc = proc
        self._run_directory = run_directory
        self._log_directory = log_directory
        self._finder = QemuFinder(proc=proc, run_directory=run_directory)
        self._boot = kernel_boot(proc)
        self._guard = threading.Lock()
        self._kept: dict[str, _Kept] = {}
        self._ended: list[Run] = []
        self._poll = select.epoll()
        self._end = os.eventfd(0)
        self._poll.register(self._end, select.EPOLLIN)
        self._waiting = False
        self._polled = boot_clock_ms()
        self._work = threading.Event()
        self._closing = threading.Event()
        self._throttled = Throttled(logger)
        self._threads = [
            threading.Thread(target=self._watch, name="runs", daemon=True),
            threading.Thread(target=self._write, name="runs-write", daemon=True),
        ]
        events.listen(self._heard)

    @property
    def boot(self) -> str:
        """The kernel's identity of this boot."""
        return self._boot

    def start(self) -> None:
        """Begin to watch and to write."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop; what is known is written once more."""
        self._closing.set()
        os.eventfd_write(self._end, 1)
        self._work.set()
        for thread in self._threads:
            thread.join(2.0)

    def proof(self) -> int:
        """The boot clock at a moment at which every run that is not ended was seen to go on."""
        return boot_clock_ms() if self._waiting else self._polled

    def prune(self) -> None:
        """Drop the history of this host's runs that nobody needs.

        Raises:
            DosvmError: the database does not answer.
        """
        while self._database.write(lambda session: runs.prune(session, self._host_uuid)):
            pass

    # -- what is seen

    def take_stock(self) -> None:
        """Take up the open runs that the database knows of this host; before its heartbeat says that it lives.

        Raises:
            DosvmError: the database does not answer.
        """
        found = self._database.read(lambda session: runs.stock(session, self._host_uuid))
        with self._guard:
            ended = [self._taken(run, found.clock_ms) for run in found.runs if not self._keeps(run)]
        over = [run for run in ended if run is not None]
        self._database.write(lambda session: runs.save(session, self._host_uuid, over))
        for run in over:
            seconds = run.time.ran(0) / 1000
            logger.info("a run ended unseen %s", fields(vm=run.machine, ended=run.ended, seconds=seconds))

    def _keeps(self, run: Run) -> bool:
        kept = self._kept.get(run.machine)
        return kept is not None and (kept.run.boot, kept.run.pid, kept.run.time.begin) == (
            run.boot,
            run.pid,
            run.time.begin,
        )

    def _taken(self, run: Run, certain: int) -> Run | None:
        """Keep a run whose process lives; of another the run with its end."""
        if run.boot == self._boot and began_ms(run.pid, self._proc) == run.time.begin:
            descriptor = self._open(run.pid, run.time.begin)
            if descriptor is not None:
                self._keep(_Kept(run, 0, descriptor, fresh=False))
                return None
        now = boot_clock_ms()
        libvirtd = self._libvirtd_began(now)
        at = ended_at(self._log_directory / f"{domain_name(run.machine)}.log", run.started, libvirtd=libvirtd)
        moment = certain
        if at is not None and run.boot == self._boot:
            ago = wall_of(now, now) - at
            moment = min(now, max(certain, now - round(ago.total_seconds() * 1000)))
        elif at is not None and at <= wall_of(now, now):
            # Only the wall clock leads from one boot to another.
            moment = max(certain, run.time.begin + round((at - run.started).total_seconds() * 1000))
        return _over(run, moment)

    def _libvirtd_began(self, now: int) -> datetime | None:
        for name in _DAEMONS:
            try:
                pid = int((self._run_directory.parent.parent / name).read_text())
            except (OSError, ValueError):
                continue
            began = began_ms(pid, self._proc)
            if began is not None:
                return wall_of(began, now)
        return None

    def running(self, domains: Mapping[str, Domain], at: int) -> None:
        """Say which domains of ours there are; ``at`` is the boot clock before libvirt was asked."""
        for uuid, domain in domains.items():
            with self._guard:
                kept = self._kept.get(uuid)
                known = kept is not None and kept.number in (0, domain.number)
            if not known:
                self._begin(domain)
            with self._guard:
                kept = self._kept.get(uuid)
                if kept is not None:
                    kept.number = domain.number
                    self._agree(kept, domain, at)

    def _begin(self, domain: Domain) -> None:
        """A domain that is new: find its process and keep it."""
        pid = self._finder.pid(domain.uuid, domain.name)
        began = began_ms(pid, self._proc) if pid else None
        if pid is None or began is None:
            return
        with self._guard:
            kept = self._kept.get(domain.uuid)
            if kept is not None and (kept.run.pid, kept.run.time.begin) == (pid, began):
                return
        descriptor = self._open(pid, began)
        if descriptor is None:
            return
        run = Run(domain.uuid, self._boot, pid, wall_of(began, boot_clock_ms()), RunTime(began, certain=began))
        with self._guard:
            if domain.uuid in self._kept:
                self._finish(domain.uuid, began)
            self._keep(_Kept(run, domain.number, descriptor))
        self._work.set()

    def _open(self, pid: int, began: int) -> int | None:
        """A descriptor that tells when the process ends; None when it has, or is another by now."""
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            return None
        if began_ms(pid, self._proc) != began:
            os.close(descriptor)
            return None
        return descriptor

    def _keep(self, kept: _Kept) -> None:
        self._kept[kept.run.machine] = kept
        self._poll.register(kept.descriptor, select.EPOLLIN)

    def _agree(self, kept: _Kept, domain: Domain, at: int) -> None:
        """Make the account say what libvirt says; when it came to be so, the file of the domain's state knows."""
        if at < max(kept.run.time.certain, kept.seen) or domain.state == State.UNKNOWN.value:
            return
        stands = domain.state != State.RUNNING.value
        if stands != (kept.run.time.paused_from is not None):
            account = kept.account
            moment = min(at, max(account.certain, self._written_ms(domain.name)))
            self._change(kept, account.pause(moment) if stands else account.resume(moment))
        kept.seen = at

    def _written_ms(self, name: str) -> int:
        """When libvirt last wrote down the state of a domain, by the boot clock; now when it cannot be known."""
        now = boot_clock_ms()
        try:
            status = (self._run_directory / f"{name}.xml").stat()
        except OSError:
            return now
        return now - round((time.time() - status.st_mtime) * 1000)

    def _heard(self, event: Event) -> None:
        now = boot_clock_ms()
        with self._guard:
            kept = self._kept.get(event.uuid)
            if kept is None:
                return
            if event.kind == "suspended":
                self._change(kept, kept.account.pause(now))
            elif event.kind == "resumed":
                self._change(kept, kept.account.resume(now))

    def _change(self, kept: _Kept, account: RunTime) -> None:
        if account != kept.account:
            kept.run = replace(kept.run, time=account)
            kept.fresh = True
            self._work.set()

    def _finish(self, uuid: str, at: int) -> None:
        kept = self._kept.pop(uuid)
        self._poll.unregister(kept.descriptor)
        os.close(kept.descriptor)
        self._ended.append(_over(replace(kept.run, time=kept.account), at))
        self._work.set()

    # -- the two threads

    def _watch(self) -> None:
        while not self._closing.is_set():
            self._polled = boot_clock_ms()
            self._waiting = True
            events = self._poll.poll()
            self._waiting = False
            now = boot_clock_ms()
            ready = {descriptor for descriptor, _mask in events}
            with self._guard:
                for uuid in [u for u, kept in self._kept.items() if kept.descriptor in ready]:
                    self._finish(uuid, now)

    def _write(self) -> None:
        while not self._closing.is_set():
            self._work.wait()
            self._work.clear()
            begin = time.monotonic()
            if not self._flush():
                self._closing.wait(_AGAIN)
                self._work.set()
            else:
                # In a storm of starts the next ones are written together.
                self._closing.wait(rest_after(begin))
        self._flush()

    def _flush(self) -> bool:
        """Write what the database does not know; whether it took it."""
        with self._guard:
            ended = list(self._ended)
            changed = [kept for kept in self._kept.values() if kept.fresh]
            written = [kept.run for kept in changed]
        if not ended and not written:
            return True
        try:
            self._save([*ended, *written])
        except DosvmError as error:
            self._throttled.warning("write", "runs not written", reason=error.text())
            return False
        self._throttled.clear("write")
        with self._guard:
            self._ended = self._ended[len(ended) :]
            for kept, run in zip(changed, written, strict=True):
                kept.run = replace(kept.run, entered=True)
                kept.fresh = (kept.run.time.paused, kept.run.time.paused_from) != (
                    run.time.paused,
                    run.time.paused_from,
                )
        return True

    def _save(self, found: list[Run]) -> None:
        """Write runs; what cannot be written together is written one by one, and what cannot be at all passed over.

        Raises:
            DosvmError: the database does not answer; nothing is passed over for that.
        """
        try:
            self._database.write(lambda session: runs.save(session, self._host_uuid, found))
        except DosvmError:
            raise
        except Exception:
            logger.exception("runs cannot be written %s", fields(vms=", ".join(run.machine for run in found)))
            if len(found) > 1:
                for run in found:
                    self._save([run])


def _over(run: Run, at: int) -> Run:
    """A run that is over; when, it says also by the wall clock that its start was given in."""
    account = run.time.finish(at)
    assert account.end is not None
    return replace(run, time=account, ended=run.started + timedelta(milliseconds=account.end - account.begin))
