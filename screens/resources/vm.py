"""Virtual machines (manual 11.4)."""

from __future__ import annotations

from core.i18n import N_
from screens.spec import (
    PROJECT,
    SYSADM,
    Action,
    Column,
    Danger,
    Field,
    Filter,
    Kind,
    Related,
    ResourceSpec,
    Row,
    Target,
    Unfit,
)

_ASKED = N_("It changes by the second: hosts are asked for the VMs on screen alone.")

POWER = {"on": N_("on"), "off": N_("off")}
STATES = ("running", "off", "paused", "halted", "starting", "stopping", "failed", "unknown")
#: It stands still: somebody suspended it, or storage refuses what it writes.
_STANDS = ("paused", "halted")


def _is_on(row: Row) -> bool:
    return bool(row["power"] == "on")


def _is_off(row: Row) -> bool:
    return not _is_on(row) and row["state"] in ("off", "failed")


#: Of whatever is done to a guest that runs.
_NOT_RUNNING = (
    Unfit(lambda row: row["state"] != "running", N_("It does not run.")),
    Unfit(lambda row: not _is_on(row), N_("It is being powered off.")),
)
_MIGRATING = Unfit(lambda row: bool(row["moves_to"]), N_("It is being migrated: wait for the end of that task."))


SPEC = ResourceSpec(
    name="vm",
    title=N_("VMs"),
    singular=N_("VM"),
    section=N_("Machines"),
    columns=(
        Column("name", N_("Name"), 16),
        # The system administrator runs no VMs, and reads of them what the manual shows there (7.2.1.4).
        Column("instance", N_("Instance"), 12, roles=(SYSADM,)),
        Column("project", N_("Project"), 10, roles=(SYSADM,)),
        Column("disabled", N_("Disabled"), 8, Kind.BOOLEAN, roles=(SYSADM,)),
        Column("run_host", N_("Runs on"), 15, live=True, roles=(SYSADM,)),
        Column("port", N_("Port"), 5, Kind.INTEGER, live=True, roles=(SYSADM,)),
        Column("host", N_("Host"), 14, roles=(PROJECT,)),
        Column("power", N_("Power"), 8, Kind.CHOICE, words=POWER, roles=(PROJECT,)),
        Column("state", N_("State"), 11, Kind.STATE, live=True),
        Column("power", N_("Power"), 8, Kind.CHOICE, words=POWER, from_width=100, roles=(SYSADM,)),
        Column("cpu_percent", N_("CPU"), 5, Kind.PERCENT, live=True, sort=False, unsorted=_ASKED, roles=(PROJECT,)),
        Column("memory", N_("Memory"), 9, Kind.SIZE, roles=(PROJECT,)),
        Column("screen", N_("Screen"), 18, live=True, roles=(PROJECT,)),
        Column("instance", N_("Instance"), 16, from_width=120, roles=(PROJECT,)),
        Column(
            "cpu_percent",
            N_("CPU"),
            5,
            Kind.PERCENT,
            live=True,
            sort=False,
            unsorted=_ASKED,
            from_width=110,
            roles=(SYSADM,),
        ),
        Column("memory", N_("Memory"), 9, Kind.SIZE, from_width=110, roles=(SYSADM,)),
        Column("host", N_("Host"), 14, from_width=130, roles=(SYSADM,)),
        Column("vcpus", N_("VCPUs"), 5, Kind.INTEGER, from_width=100),
        Column("uptime", N_("Uptime"), 9, Kind.DURATION, live=True, from_width=110),
        Column("volumes", N_("Volumes"), kind=Kind.LIST, sort=False, details_only=True),
        Column("address", N_("Host address"), 16, details_only=True),
        Column("vnc_port", N_("VNC port"), 8, Kind.INTEGER, details_only=True, live=True),
        Column("spice_port", N_("SPICE port"), 8, Kind.INTEGER, details_only=True, live=True),
        Column("disabled", N_("Disabled"), 8, Kind.BOOLEAN, from_width=130, roles=(PROJECT,)),
        Column(
            "accelerator", N_("Accelerator"), 11, Kind.CHOICE, words={"kvm": "KVM", "tcg": "TCG"}, details_only=True
        ),
        Column("moves_to", N_("Migrates to"), 14, details_only=True),
        Column("waits_for", N_("Stopped by maintenance of"), 14, details_only=True),
        Column("host_error", N_("What ails its host"), kind=Kind.MULTILINE, details_only=True),
        Column("start_error", N_("Start error message"), kind=Kind.MULTILINE, sort=False, details_only=True),
        Column("halt_error", N_("Why it stands still"), kind=Kind.MULTILINE, sort=False, details_only=True),
        Column("started", N_("Started"), 16, Kind.TIME, details_only=True),
        Column("vcpu_seconds", N_("VCPU run time"), 14, Kind.RUN_TIME, sort=False, details_only=True, live=True),
        Column("created", N_("Created"), 16, Kind.TIME, from_width=150),
    ),
    filters=(
        Filter("instance", N_("Instance"), Kind.REFERENCE, resource="instance"),
        Filter("project", N_("Project"), Kind.REFERENCE, resource="project", roles=(SYSADM,)),
        Filter("state", N_("State"), Kind.CHOICE, choices=tuple((state, state) for state in STATES)),
        Filter("power", N_("Power"), Kind.CHOICE, choices=tuple(POWER.items())),
        Filter("host", N_("Host"), Kind.REFERENCE, resource="host"),
        Filter("volume", N_("Volume"), Kind.REFERENCE, resource="volume"),
        Filter("disabled", N_("Disabled"), Kind.BOOLEAN),
    ),
    actions=(
        Action(
            "start",
            N_("Power on"),
            "vm.start",
            key="p",
            target=Target.ROWS,
            many=True,
            task=True,
            fields=(
                Field(
                    "host",
                    N_("Host"),
                    Kind.REFERENCE,
                    resource="host",
                    hint=N_("Left empty, the host with the most room is taken."),
                ),
            ),
            unfit=(
                Unfit(lambda row: row["disabled"], N_("Its instance is disabled: enable that first.")),
                Unfit(
                    lambda row: _is_on(row) and row["state"] in ("running", *_STANDS, "stopping"),
                    N_("It is on already."),
                ),
            ),
            roles=(PROJECT,),
        ),
        Action(
            "stop",
            N_("Power off"),
            "vm.stop",
            key="o",
            target=Target.ROWS,
            many=True,
            task=True,
            fields=(
                Field(
                    "force",
                    N_("At once, like pulling the plug"),
                    Kind.BOOLEAN,
                    default=False,
                    hint=N_("Otherwise the guest is asked to shut down, and is forced after a minute."),
                ),
            ),
            danger=Danger.CONFIRM,
            warning=N_("{name} is powered off and stays off."),
            # One that waits for the end of a host's maintenance stays off then.
            unfit=(Unfit(lambda row: _is_off(row) and not row["waits_for"], N_("It is off already.")),),
            roles=(PROJECT,),
        ),
        Action(
            "reboot",
            N_("Reboot"),
            "vm.reboot",
            key="b",
            target=Target.ROWS,
            many=True,
            task=True,
            danger=Danger.CONFIRM,
            warning=N_("The guest of {name} is asked to reboot; it may ignore it."),
            unfit=(*_NOT_RUNNING, _MIGRATING),
            roles=(PROJECT,),
        ),
        Action(
            "reset",
            N_("Reset"),
            "vm.reset",
            key="B",
            target=Target.ROWS,
            many=True,
            task=True,
            danger=Danger.CONFIRM,
            warning=N_("{name} is reset like by the button on a machine; what the guest has not written is lost."),
            unfit=(*_NOT_RUNNING, _MIGRATING),
            roles=(PROJECT,),
        ),
        Action(
            "suspend",
            N_("Suspend"),
            "vm.suspend",
            key="z",
            target=Target.ROWS,
            many=True,
            task=True,
            unfit=(*_NOT_RUNNING, _MIGRATING),
            roles=(PROJECT,),
        ),
        Action(
            "resume",
            N_("Resume"),
            "vm.resume",
            key="u",
            target=Target.ROWS,
            many=True,
            task=True,
            unfit=(
                Unfit(lambda row: row["state"] not in _STANDS, N_("It is not suspended.")),
                Unfit(lambda row: not _is_on(row), _NOT_RUNNING[1].why),
                _MIGRATING,
            ),
            roles=(PROJECT,),
        ),
        Action(
            "add",
            N_("Add"),
            "vm.add",
            key="a",
            target=Target.NOTHING,
            task=True,
            fields=(
                Field(
                    "name",
                    N_("Name"),
                    required=True,
                    rule="identifier",
                    positional=True,
                    hint=N_("1 to 64 letters, digits, dots, dashes or underscores."),
                ),
                Field("instance", N_("Instance"), Kind.REFERENCE, required=True, resource="instance"),
                Field("start", N_("Power on at once"), Kind.BOOLEAN, default=False),
            ),
            roles=(PROJECT,),
        ),
        Action(
            "delete",
            N_("Delete"),
            "vm.delete",
            key="d",
            target=Target.ROWS,
            danger=Danger.CONFIRM,
            warning=N_("The VM {name} is deleted. Its instance and its disks stay."),
            unfit=(
                Unfit(_is_on, N_("It is on: power it off first.")),
                Unfit(lambda row: row["state"] in ("running", *_STANDS, "starting", "stopping"), _NOT_RUNNING[1].why),
            ),
            roles=(PROJECT,),
        ),
        Action(
            "samples",
            N_("Load samples"),
            "vm.samples",
            fields=(
                Field(
                    "since", N_("Since"), Kind.INTEGER, default=0, unit="s", hint=N_("Unix time; 0 for all there are.")
                ),
            ),
            console=False,
        ),
    ),
    related=(
        # First: where all keys act at once the last is not named in the narrowest line of keys (manual 9.4.2).
        Related("volume", N_("Volumes"), "l", {"vm": "uuid"}),
        Related("task", N_("Tasks"), "t", {"target": "uuid"}),
    ),
    default_sort="",
    topics=("vm", "host", "instance"),
    detail_screen="vm",
    interval=3.0,
    empty=N_("No VMs yet."),
    first=N_("Press a to make one from an instance."),
    help=N_(
        "A VM is one machine made from an instance. Power says what was asked for, State what really is: a VM whose"
        " power is on comes back by itself when somebody shuts it off from outside. Screen is the address for a VNC or"
        " SPICE viewer. When a start fails, Enter shows why."
    ),
)
