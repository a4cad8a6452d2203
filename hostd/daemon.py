"""hostd as a whole: what it is made of, in which order it comes up, and how it goes down.

The socket answers within a second of the start. What may take longer, libvirtd, the database, the probe
for KVM, comes up behind it and goes away and comes back as it likes.
"""

from __future__ import annotations

import gc
import logging
import os
import resource
import signal
import sys
import threading
import time
import typing
import uuid
from collections.abc import Sequence
from pathlib import Path

from core.clock import Clock, SystemClock
from core.coordination import log_names, parameters
from core.coordination.hosts import Hypervisor
from core.database import Database
from core.errors import DatabaseUnavailable, DosvmError
from core.libvirt_xml.domain import NAMESPACE
from core.migrations.state import check_schema
from core.rpc.handover import SOCKET
from core.rpc.signature import Signer, load_key
from core.rpc.tls import Tls
from core.security.passwords import Passwords
from core.security.vault import Vault
from core.services.dispatch import Services
from core.services.operation import Rings
from core.services.sessions import Sessions
from core.version import version
from hostd import intervals
from hostd import log as log_module
from hostd import settings as settings_module
from hostd.abandoned import Abandoned
from hostd.allocations import Allocations
from hostd.api import Api
from hostd.bus import Bus
from hostd.cloud import LivingCloud
from hostd.disks import Disks
from hostd.duties import Duties, Duty
from hostd.ending import leave_within
from hostd.executor import Executor
from hostd.handlers import images as image_tasks
from hostd.handlers import machines as machine_tasks
from hostd.handlers import pools as pool_tasks
from hostd.handlers import purges as purge_tasks
from hostd.handlers import refresh as refresh_tasks
from hostd.handlers import volumes as volume_tasks
from hostd.handover import Handover
from hostd.heartbeat import Heartbeat, describe
from hostd.hypervisor.connection import Connection
from hostd.hypervisor.domains import Domains
from hostd.hypervisor.events import Events
from hostd.hypervisor.migration import Mover, Reception
from hostd.hypervisor.pools import Pools
from hostd.hypervisor.probe import Probe
from hostd.hypervisor.secrets import Secrets
from hostd.hypervisor.starts import Starts
from hostd.hypervisor.units import Units
from hostd.hypervisor.versions import VersionWatch
from hostd.identity import Identity
from hostd.image_sums import ImageSums
from hostd.image_watch import ImageWatch
from hostd.leftovers import Leftovers
from hostd.log import fields
from hostd.machines import Machines
from hostd.maintenance import Maintenance
from hostd.metrics.collector import Collector
from hostd.migration import Migration
from hostd.own_places import OwnPlaces
from hostd.peers import Peers
from hostd.pools import Keeper
from hostd.processes import kernel_boot
from hostd.reconciler import Reconciler
from hostd.runs import Runs
from hostd.runtime import Runtime
from hostd.server import Server
from hostd.settings import Settings
from hostd.settler import Settler
from hostd.state_lock import hold
from hostd.storage_calls import SILENT
from hostd.succession import Succession
from hostd.targets import Targets
from hostd.trash import Trash
from hostd.upload_progress import UploadProgress
from hostd.uploads import Uploads

logger = logging.getLogger("hostd.daemon")

#: Seconds that an end may take: the parts' own limits, together or what is left of them; and then Python's.
_END, _REST = 20.0, 1.0
#: Files that it may have open at once.
_FILES = 16384


class Daemon:
    """One hostd. Making it connects nothing; :meth:`start` and :meth:`stop` do the rest."""

    def __init__(self, settings: Settings, key: bytes) -> None:
        """Put the parts together.

        Raises:
            InvalidInput: the database URL cannot be understood.
        """
        self.settings = settings
        clock = SystemClock()
        signer = Signer(key)
        boot = str(uuid.uuid4())
        self.bus = Bus()
        self.database = Database(settings.database_url, max_connections=settings.max_connections, clock=clock)
        self.tls = Tls(settings.tls) if settings.tls else None
        # An SQLite database serves one host: nobody else has a reason to call, unless it is a console with TLS.
        self.listens = bool(settings.address) and (self.tls is not None or not self.database.is_sqlite)
        self.runtime = Runtime()
        self.settler = Settler(
            self.runtime,
            port=settings.port if self.listens else 0,
            temporary=settings.temporary,
            refuse=lambda directory, own: self.keeper.refuse_temporary(directory, own),  # noqa: PLW0108 (it is made below)
        )
        # Tasks and the reconciler may all wait for libvirt, and the API still has something to ask.
        self.connection = Connection(settings.libvirt_url, size=settings.threads + 6, host=settings.host_name)
        # What can hang on a VM's monitor has a connection of its own, so that it delays nothing else.
        self.sampling = Connection(settings.libvirt_url, name="libvirt-sampling", size=4, host=settings.host_name)
        # Storage that hangs, hangs for itself.
        self.storage = Connection(
            settings.libvirt_url, name="libvirt-storage", size=8, words=SILENT, host=settings.host_name
        )
        self.events = Events(self.connection)
        self.domains = Domains(
            self.connection, namespace=NAMESPACE, starts=Starts(settings.state / "starts", kernel_boot())
        )
        self.versions = VersionWatch(self.connection)
        self.probe = Probe(self.connection, settings.state)
        self.collector = Collector(
            settings.share_disk, Domains(self.sampling, namespace=NAMESPACE), self.runtime, settings.state / "samples"
        )
        self.peers = Peers(signer, self.tls)
        self.cloud = LivingCloud(settings.host_uuid, clock, self.collector, self.peers, self.runtime)
        self.cloud.own_error(lambda: self.connection.reason)
        self.runs = Runs(self.database, settings.host_uuid, self.events)
        self.heartbeat = Heartbeat(
            settings,
            Identity(settings.state, boot),
            self.database,
            clock,
            self.collector,
            self.cloud,
            self.bus,
            self.runs,
            self.runtime,
            self.settler,
        )
        self.settler.on_settled(self.heartbeat.soon)
        self.heartbeat.hypervisor(self._describe)
        passwords = Passwords(clock)
        self.sessions = Sessions(self.database, clock, passwords)
        vault = Vault(key)
        self.services = Services(
            self.database, clock, self.cloud, passwords, self._after_commit, self.sessions, vault=vault
        )
        self.secrets, self.targets, pools = Secrets(self.connection, vault), Targets(), Pools(self.storage)
        self.keeper = Keeper(
            self.database,
            clock,
            lambda: self.heartbeat.host_id,
            pools,
            self.secrets,
            self.bus,
            settings.state,
            OwnPlaces.of(settings),
            lambda: self.settler.place,
        )
        disks = Disks(
            self.keeper,
            self.settler.directory,
            settings.state,
            self.connection.is_stuck,
            lambda pool: self.upkeep.written(pool),  # noqa: PLW0108 (it is made below)
        )
        self.machines = Machines(
            self.database,
            clock,
            lambda: self.heartbeat.host_id,
            self.domains,
            self.events,
            self.probe,
            vault,
            disks,
            self.runs,
            self.secrets,
        )
        self.migration = Migration(
            self.database,
            lambda: self.heartbeat.host_id,
            self.domains,
            Mover(self.connection, namespace=NAMESPACE, speed=settings.migration_speed),
            self.machines,
            disks,
            vault,
            lambda host_id: self._after_commit({host_id: None}, set()),
            self.connection.wait,
        )
        self.reception = Reception(settings.migration_url, settings.address)
        uploads = Uploads(
            self.database,
            settings.state,
            lambda: self._after_commit({}, {"image"}),
            cloud=self.cloud,
            refuse=self.keeper.own.refuse_target,
        )
        self.executor = Executor(
            self.database,
            clock,
            boot,
            lambda: self.heartbeat.host_id,
            {
                **machine_tasks.handlers(self.machines, self.domains, self.migration),
                **pool_tasks.handlers(self.database, self.keeper),
                **volume_tasks.handlers(self.database, self.keeper, self.secrets),
                **refresh_tasks.handlers(self.database, self.keeper, Units(self.storage), self.secrets.open, clock.now),
                **image_tasks.handlers(
                    self.database,
                    settings.sample_image,
                    settings.state,
                    uploads,
                    self.keeper.own.has,
                    self.keeper.refuse_group,
                ),
                **purge_tasks.handlers(self.database, clock),
            },
            self.targets,
            self.bus,
            self.runtime,
            threads=settings.threads,
            libvirt_back=lambda seconds: self.connection.wait(seconds) and self.storage.wait(seconds),
            ended=self._task_ended,
            # Whichever of the two comes last: nothing is looked for without a host and its libvirtd.
            resumed=lambda: self.duties.soon("leftovers"),
            entering=self.machines.turns.after_me,
        )
        self.reconciler = Reconciler(
            self.database,
            clock,
            lambda: self.heartbeat.host_id,
            self.connection,
            self.domains,
            self.events,
            self.machines,
            self.collector,
            self.runs,
            self.targets,
            self.bus,
            self.runtime,
            threads=settings.threads,
        )
        self.upkeep = pool_tasks.Upkeep(
            self.database,
            lambda: self.heartbeat.host_id,
            self.storage,
            pools,
            self.keeper,
            Allocations(self.database, self.keeper, self.bus),
        )
        self.duties = self._housekeeping(clock, pools, uploads)
        self.bus.listen(lambda topics, _heard: self.duties.heard(topics))
        self.bus.listen(self.upkeep.heard)
        if self.listens:
            self.peers.others(self.cloud.others)
            self.bus.listen(lambda topics, heard: None if heard else self.peers.spread(topics))
        api = Api(self.services, self.sessions, self.bus, self.collector, self._doorbell, uploads, settings.host_name)
        self.server, self.handover = self._doors(signer, api)
        self.settler.on_port(self._move_port)
        self.bus.listen(lambda topics, _heard: self.heartbeat.soon() if "parameters" in topics else None)

    def _doors(self, signer: Signer, api: Api) -> tuple[Server, Handover]:
        """Where calls come in, and files."""
        threads = max(8, self.settings.threads)
        return Server(signer, api.handlers(), {"upload": api.uploading}, threads=threads), Handover(
            signer, api.hand_over, self.settings.own
        )

    def _housekeeping(self, clock: Clock, pools: Pools, uploads: Uploads) -> Duties:
        trash, maintenance = Trash(self.services), Maintenance(self.services, clock)
        succession = Succession(self.services)
        self.storage.on_change(lambda up: self.duties.soon("leftovers") if up else None)
        abandoned = Abandoned(uploads, self.database, clock, lambda: self._after_commit({}, {"image"}))
        leftovers = Leftovers(self.database, lambda: self.heartbeat.host_id, pools, self.keeper)
        progress = UploadProgress(self.database, self.settings.host_uuid, uploads.records)
        images = ImageWatch(
            self.database,
            self.settings.host_uuid,
            self.settings.state,
            lambda: self._after_commit({}, {"image"}),
        )
        sums = ImageSums(self.database, self.settings.host_uuid, lambda: self._after_commit({}, {"image"}))
        return Duties(
            [
                Duty("log names", intervals.LOG_NAMES, lambda: log_names.gather(self.database, clock.now())),
                Duty("runs", intervals.PRUNE, self.runs.prune),
                Duty("uploads", intervals.UPLOADS, abandoned.look, abandoned.concerns),
                Duty("upload progress", intervals.UPLOAD_PROGRESS, progress.look),
                # What has just been made is seen once, to know later that it is gone.
                Duty("images", intervals.IMAGES, images.look, lambda topics: "image" in topics),
                Duty("image sums", intervals.IMAGES, sums.look, lambda topics: "image" in topics),
                Duty("trash", intervals.TRASH, trash.look, trash.concerns),
                Duty("leftovers", intervals.LEFTOVERS, leftovers.look),
                Duty("succession", intervals.SUCCESSION, succession.look, succession.concerns),
                Duty("maintenance", intervals.MAINTENANCE, maintenance.look, maintenance.concerns),
            ]
        )

    def _describe(self) -> Hypervisor:
        url = self.reception.url() if self.connection.up else ""
        return describe(self.probe.result(), self.versions.now, self.connection.reason, url)

    def _move_port(self, port: int) -> None:
        # Others may look where this host is no more often than their hearts beat.
        self.server.move_tcp(
            self.settings.address, port, linger=max(intervals.LINGER, 2.0 * self.runtime.now.heartbeat_interval)
        )

    def _after_commit(self, rings: Rings, topics: set[str]) -> None:
        """Something was changed here: tell this host's parts, and the hosts that have work now."""
        mine = self.heartbeat.host_id
        for host_id, tasks in rings.items():
            if host_id == mine:
                self.executor.ring(tasks)
            else:
                self.peers.ring(self.cloud.address_of(host_id))
        self.bus.changed(topics)

    def _doorbell(self, topics: frozenset[str]) -> None:
        """Another hostd rang."""
        if topics:
            self.bus.changed(topics, heard=True)
        else:
            self.executor.ring()

    def _task_ended(self, origin: str) -> None:
        if origin and origin != self.settings.host_uuid:
            self.peers.ring(self.cloud.address(origin), {"task"})

    def start(self) -> None:
        """Come up.

        Raises:
            DosvmError: a socket cannot be made, or the database is of another version.
        """
        self._check_database()
        self.server.listen_unix(self.settings.socket)
        self.handover.start(self.settings.socket.with_name(SOCKET))
        if self.listens:
            self._listen()
        self.services.begins_by(self.executor)
        self.executor.on_record(self.reconciler.recorded)
        # Tasks and VMs that an earlier run left in the middle are taken up at once.
        self.heartbeat.on_registered(self.executor.ring)
        self.heartbeat.on_registered(self.reconciler.look_at_everything)
        self.peers.start()
        self.settler.start()
        self.collector.start()
        self.runs.start()
        self.heartbeat.start()
        self.server.start()
        self.events.start()
        self.secrets.start()
        self.connection.start()
        self.sampling.start()
        self.storage.start()
        self.probe.start()
        self.executor.start()
        self.reconciler.start()
        self.upkeep.start()
        self.duties.start()
        self.duties.soon("trash")
        self.duties.soon("uploads")
        self.connection.on_change(lambda _up: self.bus.changed({"host"}))
        self.probe.on_result(lambda _result: self.bus.changed({"host"}))

    def _check_database(self) -> None:
        try:
            check_schema(self.database)
            self.runtime.take(self.database.read(parameters.read))
        except DatabaseUnavailable as error:
            if self.database.is_sqlite:
                raise  # a file that is not there will not come by itself
            logger.warning("the database does not answer yet %s", fields(reason=error.text()))

    def _listen(self) -> None:
        """Listen at the port that is a parameter of the cloud; where that is taken, at this host's own for now.

        Raises:
            DosvmError: neither can be had.
        """
        wanted = self.settler.wanted_port
        for port in dict.fromkeys((wanted, self.settings.port)):
            try:
                self.server.listen_tcp(self.settings.address, port, self.tls)
                self.settler.listens_at(port)
                return
            except DosvmError as error:
                if port == self.settings.port:
                    raise
                logger.warning("cannot listen at the port of the parameters %s", fields(reason=error.text()))

    def stop(self) -> None:
        """Go down: first take no more work, then end what runs, then leave."""
        self.reconciler.close()
        self.upkeep.close()
        self.duties.close()
        self.executor.close()
        self.bus.close()
        self.handover.close()
        self.server.close()
        self.settler.close()
        self.heartbeat.close()
        self.collector.close()
        self.runs.close()
        self.peers.close()
        self.events.close()
        self.secrets.close()
        self.connection.close()
        self.sampling.close()
        self.storage.close()
        self.keeper.close()
        self.database.close()


def settle() -> None:
    """Take what the start has made out of the garbage collector's sight.

    It stays anyway, and looking through it again and again cost some milliseconds of every list. What only checkers of
    types read (SQLAlchemy has hundreds of overloads) goes.
    """
    typing.clear_overloads()
    gc.collect()
    gc.freeze()


def _allow_files() -> None:
    """Have more files open than a shell allows (1024), as far as the system does: two of each VM stay open."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
    if now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def run(home: Path, *, log: str | None = None) -> int:
    """Run hostd until SIGTERM or SIGINT.

    Args:
        home: the directory of settings, key and socket.
        log: a file for the log; None: the screen when there is one, else the file of the settings, else
            standard error.

    Returns:
        The exit code.

    Raises:
        DosvmError: it cannot start, or must not go on; says why.
    """
    begin = time.monotonic()
    # Passwords pass through this memory.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _allow_files()
    settings = settings_module.load(home)
    log_module.configure(Path(log) if log else None if sys.stderr.isatty() else settings.log)
    lock = hold(settings.state)
    try:
        ended = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: ended.set())
        refusals: list[DosvmError] = []
        daemon = Daemon(settings, load_key(settings.key))

        def refuse(error: DosvmError) -> None:
            refusals.append(error)
            ended.set()

        daemon.heartbeat.on_refused(refuse)
        daemon.start()
        settle()
        logger.info("started %s", fields(home=home, pid=os.getpid(), seconds=f"{time.monotonic() - begin:.2f}"))
        while not ended.wait(3600):
            pass
        for error in refusals:
            logger.error("this hostd must not go on %s", fields(reason=error.text()))
        logger.info("stopping")
        code = 1 if refusals else 0
        leave_within(_END, code)
        daemon.stop()
        logger.info("stopped")
        leave_within(_REST, code)
    finally:
        os.close(lock)
    if refusals:
        raise refusals[0]
    return 0


def main(arguments: Sequence[str]) -> int:
    """The program ``hostd``; returns its exit code."""
    import argparse

    parser = argparse.ArgumentParser(prog="hostd", description="The DOSVM daemon of one host.", add_help=False)
    parser.add_argument("-d", action="store_true", help="log to the screen (the default on a terminal)")
    parser.add_argument("-l", metavar="FILE", help="log to FILE")
    parser.add_argument("--version", action="store_true", help="print the version and end")
    parser.add_argument("--usage", "--help", "-h", action="store_true", help="print this and end")
    options = parser.parse_args(arguments)
    if options.usage:
        parser.print_help()
        return 0
    if options.version:
        print(f"hostd {version()}")
        return 0
    try:
        return run(settings_module.home(), log=None if options.d else options.l)
    except DosvmError as error:
        print(f"hostd: {error.text()}", file=sys.stderr)
        return 1
