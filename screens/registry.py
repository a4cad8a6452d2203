"""THE menu: every resource, by role and section, in the order of the manual (5.1).

A module is imported when its resource is asked for: a one-shot command pays for the area it uses only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import NamedTuple

from core.errors import NotFound
from core.i18n import N_
from screens.spec import PROJECT, SYSADM, ResourceSpec


class Section(NamedTuple):
    """One entry of the first-level menu: its msgid and the names of its resources, the first opened first.

    ``short`` is said instead where room is short.
    """

    title: str
    resources: tuple[str, ...]
    short: str = ""


#: The first-level menu of each role.
MENUS: Mapping[str, tuple[Section, ...]] = {
    SYSADM: (
        Section(N_("Users"), ("user", "profile"), N_("User")),
        Section(N_("Projects"), ("project", "project-group", "usage", "instance", "vm"), N_("Project")),
        Section(N_("Storage pools"), ("pool", "volume", "snapshot", "image"), N_("Pools")),
        Section(N_("Hosts"), ("host", "host-group", "host-history", "task")),
        Section(N_("Secrets"), ("secret",)),
        Section(N_("Logs"), ("log", "login-log", "log-purge", "trash"), N_("Log")),
        Section(N_("Parameters"), ("settings", "console-settings"), N_("Params")),
    ),
    PROJECT: (
        Section(N_("Machines"), ("vm", "instance", "task")),
        Section(N_("Volumes"), ("volume", "snapshot", "pool")),
        Section(N_("Images"), ("image",)),
        Section(N_("Usage"), ("usage",)),
        Section(N_("Me"), ("profile",)),
    ),
}

#: Every resource there is; the areas of the command line, in the order of its help.
NAMES: tuple[str, ...] = (
    "vm",
    "instance",
    "volume",
    "snapshot",
    "image",
    "pool",
    "secret",
    "host",
    "host-group",
    "host-history",
    "project",
    "project-group",
    "user",
    "usage",
    "profile",
    "task",
    "log",
    "login-log",
    "log-purge",
    "trash",
    "settings",
    "console-settings",
    "cloud",
)


def menu(role: str) -> tuple[Section, ...]:
    """The first-level menu of a role (``sysadm`` or ``project``)."""
    return MENUS[role]


def resource(name: str) -> ResourceSpec:
    """The declaration of a resource.

    Raises:
        NotFound: there is no resource of this name.
    """
    if name not in NAMES:
        raise NotFound(N_("There is no resource {name}."), name=name)
    spec: ResourceSpec = import_module(f"screens.resources.{name.replace('-', '_')}").SPEC
    return spec


def label(operation: str, key: str) -> str:
    """What forms call a key of an operation, in the language now set: see :func:`core.errors.label_fields_by`."""
    from screens.telling import label

    return label(operation, key)


def resources() -> Iterator[ResourceSpec]:
    """All declarations; imports every module."""
    return (resource(name) for name in NAMES)
