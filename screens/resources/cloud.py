"""The cloud as a whole: its state, and making a new one usable. No list; the console has screens of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from core.errors import InvalidInput
from core.i18n import N_
from core.rpc.ways import home
from screens.resources.user import NEW_PASSWORD, OWN_PASSWORD
from screens.spec import SYSADM, Action, Field, Kind, ResourceSpec, Target

#: Where a packaged cloud, and that of `make run`, has its images and volumes.
_DATA = Path("/var/lib/dosvm")


def _proposed(name: str) -> Callable[[], str]:
    """The directory that is proposed for images or volumes: below DOSVM_HOME where the cloud is elsewhere.

    Not where that would be refused (/etc), nor where QEMU, which is another account, would not come through.
    """

    def directory() -> str:
        from core.rules import check

        place = home().absolute()
        try:
            check("directory", "", str(place))
            open_ways = all(way.stat().st_mode & 0o001 for way in (place, *place.parents))
        except (InvalidInput, OSError):
            return str(_DATA / name)
        return str((place if open_ways and os.path.exists(place / "dosvm.toml") else _DATA) / name)

    return directory


_NAME_HINT = N_("1 to 64 characters of any script.")
_IDENTIFIER_HINT = N_("1 to 64 letters, digits, dots, dashes or underscores.")

SPEC = ResourceSpec(
    name="cloud",
    title=N_("Cloud"),
    singular=N_("cloud"),
    section=N_("Hosts"),
    columns=(),
    list_operation="-",
    show_operation="-",
    actions=(
        Action("status", N_("Status"), "cloud.status", target=Target.NOTHING, console=False),
        Action("here", N_("The host that answers"), "cloud.here", target=Target.NOTHING, console=False),
        Action(
            "prepare",
            N_("Make this machine a cloud of one host"),
            "cloud.prepare",
            target=Target.NOTHING,
            task=True,
            screen="prepare",
            roles=(SYSADM,),
            fields=(
                Field("group", N_("Project group"), required=True, default="first", rule="name", hint=_NAME_HINT),
                Field(
                    "directory",
                    N_("Directory for images"),
                    required=True,
                    default=_proposed("images"),
                    rule="directory",
                    hint=N_("An absolute path on this host; it is made when it does not exist."),
                ),
                Field("project", N_("Project"), required=True, default="demo", rule="name", hint=_NAME_HINT),
                Field(
                    "admin",
                    N_("Account of its administrator"),
                    required=True,
                    default="demo",
                    rule="account",
                    hint=_IDENTIFIER_HINT,
                ),
                NEW_PASSWORD,
                Field("host_group", N_("Host group"), required=True, default="all", rule="name", hint=_NAME_HINT),
                Field(
                    "pool", N_("Storage pool"), required=True, default="local", rule="identifier", hint=_IDENTIFIER_HINT
                ),
                Field(
                    "pool_path",
                    N_("Directory for volumes"),
                    required=True,
                    default=_proposed("volumes"),
                    rule="directory",
                    hint=N_("An absolute path on this host; it is made when it does not exist."),
                ),
                Field(
                    "capacity",
                    N_("Capacity of the pool"),
                    Kind.SIZE,
                    required=True,
                    default=20 * 1024**3,
                    minimum=1,
                    rule="size",
                    hint=N_("The most that its volumes may sum to, such as 200GiB."),
                ),
                Field(
                    "sample",
                    N_("A sample image and instance"),
                    Kind.BOOLEAN,
                    default=True,
                    hint=N_("A tiny Linux guest, to see a real VM run at once."),
                ),
                OWN_PASSWORD,
            ),
        ),
    ),
    topics=("cloud",),
)
