"""The tasks of VMs."""

from __future__ import annotations

from core.coordination.tasks import Claimed
from core.errors import DosvmError
from hostd.handling import Context, Effect, Handler
from hostd.hypervisor.domains import Domains
from hostd.machines import Machines
from hostd.migration import Migration

_TOPICS = frozenset({"vm", "host"})


def handlers(machines: Machines, domains: Domains, migration: Migration) -> dict[str, Handler]:
    """Task kind -> handler."""

    def start(task: Claimed, context: Context) -> Effect:
        return machines.start(task.target, task.payload.get("epoch"), context.closing)

    def start_failed(task: Claimed, error: DosvmError) -> Effect:
        return machines.start_failed(task.target, task.payload.get("epoch"), error)

    def stop(task: Claimed, context: Context) -> Effect:
        force, epoch = bool(task.payload.get("force")), task.payload.get("epoch")
        return machines.stop(task.target, epoch=epoch, force=force, closing=context.closing)

    return {
        "machine.start": Handler(start, _TOPICS, start_failed),
        "machine.stop": Handler(stop, _TOPICS),
        "machine.receive": Handler(
            lambda task, _c: migration.receive(task),
            _TOPICS,
            lambda task, _e: migration.failed(task),
            migration.received,
        ),
        "machine.migrate": Handler(
            migration.migrate, _TOPICS, lambda task, _e: migration.failed(task), migration.migrated
        ),
        "machine.arrive": Handler(lambda task, _c: migration.arrive(task), _TOPICS),
        "machine.reboot": Handler(lambda task, _c: machines.tell(task.target, domains.reboot), _TOPICS),
        "machine.reset": Handler(lambda task, _c: machines.tell(task.target, domains.reset), _TOPICS),
        "machine.suspend": Handler(lambda task, _c: machines.tell(task.target, domains.suspend), _TOPICS),
        "machine.resume": Handler(lambda task, _c: machines.tell(task.target, domains.resume), _TOPICS),
    }
