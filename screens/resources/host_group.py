"""Host groups: hosts alike enough to run the same VMs (manual 6.2.1)."""

from __future__ import annotations

from core.i18n import N_
from screens.spec import SYSADM, Action, Column, Danger, Field, Kind, Related, ResourceSpec, Target, Unfit

_HINT = N_("1 to 64 characters of any script.")
_REST = (
    Field("description", N_("Description"), Kind.MULTILINE, rule="prose"),
    Field("hosts", N_("Hosts"), Kind.REFERENCES, resource="host", option="host"),
    Field(
        "projects",
        N_("Given to projects"),
        Kind.REFERENCES,
        resource="project",
        option="project",
        hint=N_("Whose VMs may run on these hosts."),
    ),
)

SPEC = ResourceSpec(
    name="host-group",
    title=N_("Host groups"),
    singular=N_("host group"),
    section=N_("Hosts"),
    columns=(
        Column("name", N_("Name"), 20),
        Column("hosts", N_("Hosts"), 24, Kind.LIST),
        Column("projects", N_("Given to projects"), 20, Kind.LIST, roles=(SYSADM,)),
        Column("description", N_("Description"), 20),
        Column("members", N_("Hosts and their states"), kind=Kind.MEMBERS, sort=False, details_only=True),
        Column("created", N_("Created"), 16, Kind.TIME, from_width=130),
    ),
    actions=(
        Action(
            "add",
            N_("Add"),
            "host-group.add",
            key="a",
            target=Target.NOTHING,
            fields=(Field("name", N_("Name"), required=True, rule="name", positional=True, hint=_HINT), *_REST),
            roles=(SYSADM,),
        ),
        Action(
            "edit",
            N_("Edit"),
            "host-group.edit",
            key="e",
            fields=(Field("name", N_("Name"), rule="name", hint=_HINT), *_REST),
            roles=(SYSADM,),
        ),
        Action(
            "delete",
            N_("Delete"),
            "host-group.delete",
            key="d",
            target=Target.ROWS,
            danger=Danger.CONFIRM,
            warning=N_("The host group {name} goes to the trash. Its hosts and their VMs stay as they are."),
            unfit=(Unfit(lambda row: bool(row["projects"]), N_("It is given to projects: take it from them first.")),),
            roles=(SYSADM,),
        ),
    ),
    related=(Related("host", N_("Hosts"), "o", {"group": "uuid"}),),
    reference="name",
    topics=("host-group", "host", "project"),
    empty=N_("No host groups yet."),
    first=N_("Press a to add one and give it to a project: a project runs VMs only on those hosts."),
    help=N_(
        "A host group is a set of hosts. A project runs its VMs on the hosts of the groups it was given; an instance"
        " may be bound to one of them."
    ),
)
