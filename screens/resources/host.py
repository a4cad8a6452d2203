"""Hosts, registered by their own hostd (manual 6.2.2)."""

from __future__ import annotations

from typing import Any

from core.i18n import N_
from core.rules.hosts import GIVEN_UP_AFTER
from core.rules.sizes import format_size
from screens.resources.host_history import CHART_FIELDS, CLEAR_BEFORE, CLEAR_WARNING
from screens.spec import (
    SYSADM,
    Action,
    Column,
    Danger,
    Field,
    Filter,
    Finding,
    Kind,
    Related,
    ResourceSpec,
    Row,
    Target,
    Unfit,
)

#: What a host keeps for itself (manual 6.2.2.4).
RESERVED = 512 * 1024**2


def _leaves_room(value: Any, row: Row) -> Finding | None:
    """At most the host's memory less what it needs itself."""
    memory = row.get("memory")
    most = max(0, memory - RESERVED) if isinstance(memory, int) else None
    if most is None or value <= most:
        return None
    return Finding(
        N_("At most {most}: the host has {memory} and keeps {reserved} for itself."),
        {"most": format_size(most), "memory": format_size(row["memory"]), "reserved": format_size(RESERVED)},
    )


STATES = ("up", "impaired", "draining", "drained", "down", "unknown")
POLICIES = (("migrate", N_("migrate as they run")), ("move", N_("restart elsewhere")), ("stop", N_("stop")))

_NOT_DOWN = Unfit(lambda row: row["state"] != "down", N_("It is not known to be down: only such a host is forgotten."))

SPEC = ResourceSpec(
    name="host",
    title=N_("Hosts"),
    singular=N_("host"),
    section=N_("Hosts"),
    columns=(
        Column("name", N_("Name"), 20),
        Column("state", N_("State"), 10, Kind.STATE),
        Column("cores", N_("Cores"), 5, Kind.INTEGER),
        Column("memory", N_("Memory"), 9, Kind.SIZE),
        Column("cpu_percent", N_("CPU"), 5, Kind.PERCENT, live=True),
        Column("memory_percent", N_("Memory used"), 5, Kind.PERCENT, live=True, short=N_("Mem")),
        Column("disk_percent", N_("Disk"), 5, Kind.PERCENT, live=True),
        Column("network_rate", N_("Network"), 11, Kind.RATE, live=True),
        Column("max_vcpus", N_("Max VCPUs"), 9, Kind.INTEGER),
        Column("vms", N_("VMs"), 4, Kind.INTEGER, from_width=90),
        Column("max_memory", N_("Most VM memory"), 14, Kind.SIZE, from_width=120),
        Column("address", N_("Address"), 16, from_width=120),
        Column("drain", N_("Maintenance"), kind=Kind.CHOICE, words=dict(POLICIES), details_only=True),
        Column("waiting", N_("VMs that wait for its end"), 4, Kind.INTEGER, sort=False, details_only=True),
        Column("port", N_("Port"), 5, Kind.INTEGER, details_only=True),
        Column("accelerator", N_("Accelerator"), 11, Kind.CHOICE, from_width=140, words={"kvm": "KVM", "tcg": "TCG"}),
        Column("accelerator_reason", N_("Why this accelerator"), details_only=True),
        Column("age", N_("Silent for"), 8, Kind.DURATION, details_only=True, sort=False),
        Column("hypervisor_error", N_("Hypervisor error"), kind=Kind.MULTILINE, details_only=True),
        Column("port_error", N_("Port not taken over"), kind=Kind.MULTILINE, details_only=True),
        Column("temporary_error", N_("Temporary directory not taken over"), kind=Kind.MULTILINE, details_only=True),
        Column("cpu_model", N_("CPU model"), details_only=True),
        Column("architecture", N_("Architecture"), details_only=True),
        Column("libvirt_version", N_("libvirt"), details_only=True),
        Column("qemu_version", N_("QEMU"), details_only=True),
        Column("kernel", N_("Kernel"), details_only=True),
        Column("created", N_("Registered"), 16, Kind.TIME, details_only=True),
    ),
    actions=(
        Action(
            "edit",
            N_("Edit"),
            "host.edit",
            key="e",
            fields=(
                Field("name", N_("Name"), rule="identifier"),
                Field(
                    "max_vcpus",
                    N_("Most VCPUs"),
                    Kind.INTEGER,
                    minimum=1,
                    maximum=100_000,
                    hint=N_("Of all VMs together that run on this host."),
                ),
                Field(
                    "max_memory",
                    N_("Most VM memory"),
                    Kind.SIZE,
                    minimum=0,
                    rule="size",
                    against=_leaves_room,
                    hint=N_("At most the host's memory less 512 MiB, which the host itself needs."),
                ),
            ),
            roles=(SYSADM,),
        ),
        Action(
            "delete",
            N_("Delete"),
            "host.delete",
            key="d",
            target=Target.ROWS,
            danger=Danger.TYPE_NAME,
            warning=N_("The host {name} and its load history are forgotten. It registers again if its hostd starts."),
            unfit=(_NOT_DOWN,),
            roles=(SYSADM,),
        ),
        Action(
            "abandon",
            N_("Give up"),
            "host.abandon",
            key="u",
            preview="host.losses",
            danger=Danger.TYPE_NAME,
            warning=N_(
                "The host {name} never returns: it is given up with what is on it, for ever."
                "\nStorage pools: {pools}"
                "\nVolumes, with their data: {volumes}; {size}"
                "\nVMs that were on and are off then: {vms}"
                "\nInstances that lose a disk or were bound to it: {instances}"
                "\nIf it returns after all it is a new host, and ends the VMs that still run on it."
            ),
            unfit=(
                _NOT_DOWN,
                Unfit(
                    lambda row: row["age"] < GIVEN_UP_AFTER,
                    N_("Only a host that has been down for ten minutes is given up: wait, or bring it back."),
                ),
            ),
            roles=(SYSADM,),
        ),
        Action(
            "chart",
            N_("History chart"),
            "host-history.chart",
            key="c",
            short=N_("Chart"),
            fields=CHART_FIELDS,
            screen="host-history",
            roles=(SYSADM,),
        ),
        Action(
            "clear-history",
            N_("Clear history"),
            "host-history.clear",
            fields=(CLEAR_BEFORE,),
            preview="host-history.clearable",
            danger=Danger.CONFIRM,
            warning=CLEAR_WARNING,
            task=True,
            roles=(SYSADM,),
        ),
        Action(
            "drain",
            N_("Empty for maintenance"),
            "host.drain",
            key="m",
            short=N_("Empty"),
            danger=Danger.CONFIRM,
            warning=N_(
                "The host {name} is emptied and takes no VMs until it is brought back. Guests that must stop are asked"
                " to switch themselves off, and forced after a minute."
            ),
            plan="host.drain-plan",
            fields=(
                Field(
                    "policy",
                    N_("Its VMs"),
                    Kind.CHOICE,
                    required=True,
                    default="migrate",
                    choices=POLICIES,
                    hint=N_(
                        "What cannot be migrated as it runs is stopped and started elsewhere;"
                        " what cannot move is stopped."
                    ),
                ),
            ),
            task=True,
            roles=(SYSADM,),
        ),
        Action(
            "undrain",
            N_("Bring back from maintenance"),
            "host.undrain",
            key="b",
            short=N_("Bring back"),
            fields=(
                Field(
                    "start",
                    N_("Start what was stopped"),
                    Kind.BOOLEAN,
                    required=True,
                    default=True,
                    hint=N_("The VMs that its maintenance stopped start again. Those that moved stay where they are."),
                ),
            ),
            unfit=(Unfit(lambda row: not row["drain"], N_("It is not in maintenance.")),),
            roles=(SYSADM,),
        ),
        Action(
            "drain-plan",
            N_("Plan of a maintenance"),
            "host.drain-plan",
            console=False,
            roles=(SYSADM,),
        ),
        Action(
            "samples",
            N_("Load samples"),
            "host.samples",
            fields=(
                Field(
                    "since", N_("Since"), Kind.INTEGER, default=0, unit="s", hint=N_("Unix time; 0 for all there are.")
                ),
            ),
            roles=(SYSADM,),
            console=False,
        ),
    ),
    filters=(
        Filter("state", N_("State"), Kind.CHOICE, choices=tuple((word, word) for word in STATES)),
        Filter("group", N_("Host group"), Kind.REFERENCE, resource="host-group"),
        Filter("accelerator", N_("Accelerator"), Kind.CHOICE, choices=(("kvm", "KVM"), ("tcg", "TCG"))),
    ),
    related=(
        Related("host-history", N_("History"), "h", {"host": "uuid"}, roles=(SYSADM,)),
        Related("vm", N_("VMs"), "v", {"host": "uuid"}),
        Related("pool", N_("Storage pools"), "p", {"host": "uuid"}, roles=(SYSADM,), short=N_("Pools")),
    ),
    topics=("host",),
    detail_screen="host",
    empty=N_("No hosts yet. A host registers by itself when its hostd starts."),
    help=N_(
        "A host is a server that runs VMs. Its hostd registers it and reports its load. Cells are grey when the host"
        " has not been heard of for a while; what they say is then old."
    ),
)
