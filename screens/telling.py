"""What a row of the operation log changed, in the words that forms and lists have for it; the rows stay raw data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from core.i18n import N_, _
from screens import values
from screens.spec import Column, Field, Kind, ResourceSpec


class _Told(NamedTuple):
    """How a key is told: its msgid, and its values."""

    title: str
    show: Callable[[Any], str]


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return values.show(value, Kind.BOOLEAN)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(each)}" for key, each in value.items())
    return values.show(value, Kind.TEXT)


def _size(value: Any) -> str:
    return values.show(value, Kind.SIZE)


#: What operations note that is neither in a form nor in a list (a test compares them).
_NOTED: Mapping[str, _Told] = {
    "active": _Told(N_("Active"), _plain),
    "admin": _Told(N_("Administrator"), _plain),
    "admins": _Told(N_("Administrators"), _plain),
    "again": _Told(N_("Once more"), _plain),
    "capacity": _Told(N_("Capacity"), _size),
    "configuration": _Told(N_("Configuration"), _plain),
    "drain": _Told(N_("Maintenance"), _plain),
    "enabled": _Told(N_("Enabled"), _plain),
    "epoch": _Told(N_("Placement no."), _plain),
    "everything": _Told(N_("With everything in it"), _plain),
    "file": _Told(N_("File"), _plain),
    "format": _Told(N_("Format"), _plain),
    "frozen": _Told(N_("Frozen"), _plain),
    "group": _Told(N_("Project group"), _plain),
    "host": _Told(N_("Host"), _plain),
    "host_group": _Told(N_("Host group"), _plain),
    "hosts": _Told(N_("Hosts"), _plain),
    "instance": _Told(N_("Instance"), _plain),
    "instances": _Told(N_("Instances"), _plain),
    "kind": _Told(N_("Type"), _plain),
    "memory": _Told(N_("Memory"), _size),
    "migrated": _Told(N_("Migrated"), _plain),
    "moved": _Told(N_("Moved"), _plain),
    "name": _Told(N_("Name"), _plain),
    "password": _Told(N_("Password"), _plain),
    "path": _Told(N_("Path"), _plain),
    "policy": _Told(N_("What becomes of VMs"), _plain),
    "pool": _Told(N_("Storage pool"), _plain),
    "pools": _Told(N_("Storage pools"), _plain),
    "project": _Told(N_("Project"), _plain),
    "projects": _Told(N_("Projects"), _plain),
    "reverted": _Told(N_("Reverted edit of"), lambda value: values.show(value, Kind.TIME)),
    "server": _Told(N_("Server"), _plain),
    "size": _Told(N_("Size"), _size),
    "source": _Told(N_("Source"), _plain),
    "start": _Told(N_("Start VMs again"), _plain),
    "state": _Told(N_("State"), lambda value: values.show(value, Kind.STATE)),
    "stopped": _Told(N_("Powered off"), _plain),
    "type": _Told(N_("Type"), _plain),
    "usage": _Told(N_("Usage"), _plain),
    "vcpus": _Told(N_("VCPUs"), _plain),
    "vm": _Told(N_("VM"), _plain),
    "vms": _Told(N_("VMs"), _plain),
    "volume": _Told(N_("Volume"), _plain),
    "volumes": _Told(N_("Volumes"), _plain),
}


def told(contents: Mapping[str, Any]) -> str:
    """The ``contents`` of a row of the log in the language now set: what became what, and what else is on record."""
    by = _of(str(contents["operation"]))
    parts = [
        f"{_title(by, key)}: {_value(by, key, before)} → {_value(by, key, after)}"
        for key, (before, after) in contents["changes"].items()
    ]
    parts += [f"{_title(by, key)}: {_value(by, key, value)}" for key, value in contents["values"].items()]
    return "; ".join(parts)


def label(operation: str, key: str) -> str:
    """What the reader's forms and lists call a key of an operation; the key itself where they do not know it."""
    return _title(_of(operation), key)


def knows(operation: str, key: str) -> bool:
    """Whether there are words for what an operation notes under a key."""
    return key in _of(operation)


def _title(by: Mapping[str, _Told], key: str) -> str:
    if key in by:
        return _(by[key].title)
    # Of a row in a field, such as a screen's password: graphics.vnc.password.
    whole, *inner = key.split(".")
    return f"{_(by[whole].title)} ({' '.join(_title(by, one) for one in inner)})" if inner and whole in by else key


def _value(by: Mapping[str, _Told], key: str, value: Any) -> str:
    if key == "configuration" and isinstance(value, list):
        return ", ".join(_title(by, str(each)) for each in value) or values.NOTHING
    return by[key].show(value) if key in by else _plain(value)


def _of(operation: str) -> Mapping[str, _Told]:
    """How the keys that an operation notes are told: by its own form first, then by the resource's others and list."""
    from screens import registry  # which imports declarations, as they are asked for

    noun = operation.partition(".")[0]
    if noun not in registry.NAMES:
        return _NOTED
    spec = registry.resource(noun)
    found = dict(_NOTED)
    found |= {column.key: _of_column(column) for column in spec.columns if column.title}
    found |= {field.key: _of_field(field) for field in _fields(spec, operation)}
    return found


def _fields(spec: ResourceSpec, operation: str) -> Iterator[Field]:
    """All fields of a resource's forms, those of the operation last: they count."""
    actions = sorted(spec.actions, key=lambda action: action.operation == operation)
    for action in actions:
        yield from action.fields


def _of_column(column: Column) -> _Told:
    return _Told(column.title, lambda value: _shown(value, column.kind, column.words))


def _of_field(field: Field) -> _Told:
    unit = field.unit if field.kind is Kind.INTEGER else ""
    words = dict(field.choices)

    def show(value: Any) -> str:
        text = _shown(value, field.kind, words)
        return f"{text} {_(unit)}" if unit and text != values.NOTHING else text

    return _Told(field.label, show)


def _shown(value: Any, kind: Kind, words: Mapping[str, str]) -> str:
    """A value by its kind; one that is not of it as it is: the log is older than declarations are."""
    if isinstance(value, bool) or value == "…":
        return _plain(value)
    try:
        return values.show(value, kind, words)
    except (TypeError, ValueError, KeyError, AttributeError):
        return _plain(value)
