"""Rows as a whole: what a file made by `show` says of one, and which rows of its tables an edit takes away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from core.i18n import N_, _
from core.rpc.backend import HostdBackend
from dosvm_tui.commands.options import shown_name
from screens.spec import PROJECT, Action, Field, Kind, ResourceSpec, Target

#: Keys that rows of some kinds have, and neither their columns nor any of their forms; a test knows all kinds.
_ROW_KEYS = frozenset(
    (
        "uuid",
        "name",
        "version",
        "created",
        "reference",
        "own",
        "project",
        "path",
        "pool_type",
        "lost",
        "vm_on",
        "active",
        "lines",
        "role",
        "account",
        "frozen",
        "must_change_password",
        "preferences",
        "project_active",
        "project_uuid",
        "used_disk",
        "used_image_bytes",
        "used_images",
        "used_instances",
        "used_memory",
        "used_snapshots",
        "used_vcpus",
    )
)


#: What else a row is that nothing of its own making takes, and how it is with a new one.
_NOT_MADE: Mapping[str, Any] = {
    "backing": "",
    "frozen": False,
    "active": True,
    "enabled": True,
    "passwords": [],
}


def passed_over(spec: ResourceSpec, action: Action, rest: Mapping[str, Any], role: str) -> Iterator[str]:
    """Sentences about what a file says and the action does not take, but for what nobody could give.

    Args:
        spec: of the resource.
        action: what is done with the file.
        rest: the keys of the file that the action's form does not have, and their values.
        role: of who does it. What a project admin makes is of the own project, whatever the file says.
    """
    if action.target is not Target.NOTHING:
        return  # an edit takes what it can change: the rest of the row stays as it is
    elsewhere: dict[str, list[str]] = {}
    for key, value in rest.items():
        if value in (None, "", [], _NOT_MADE.get(key)) or (key == "project" and role == PROJECT):
            continue
        verb = next(
            (
                other.verb
                for other in spec.actions
                if other.target is not Target.NOTHING
                and other.command_line
                and role in other.roles
                and key in {field.key for field in other.fields if not field.key.startswith(("add_", "remove_"))}
            ),
            None,
        )
        if verb is not None or key in _NOT_MADE:
            elsewhere.setdefault(verb or "", []).append(key)
    for verb, keys in elsewhere.items():
        text = _(N_("Not taken over: {keys}.")).format(keys=", ".join(keys))
        if verb:
            command = f"dosvm {spec.name} {verb}"
            text += " " + _(N_("`{command}` takes that.")).format(command=command)
        yield text


def given_back(spec: ResourceSpec) -> frozenset[str]:
    """What `show` prints of a resource beside what a form asks for: passed over in a file that was made of it."""
    forms = {field.key for action in spec.actions for field in action.fields}
    return _ROW_KEYS | forms | {column.key for column in spec.columns}


def going(
    backend: HostdBackend, spec: ResourceSpec, action: Action, names: Sequence[str], arguments: Mapping[str, Any]
) -> Iterator[str]:
    """A sentence for each table of an edited object that is given with fewer rows than it has: what goes.

    An option such as ``--disk`` is all of the disks. Who changes one and names that alone takes the others away.

    Raises:
        DosvmError: what there is cannot be read.
    """
    tables = [field for field in action.fields if field.kind is Kind.ROWS and field.key in arguments]
    if not tables or not spec.shows_by or not action.prefill:
        return
    for name in names:
        before = backend.call(action.prefill, **{spec.argument: name})
        for field in tables:
            had, given = list(before.get(field.key) or ()), list(arguments[field.key])
            if len(given) >= len(had):
                continue
            kept = [_identity(field, row) for row in given]
            gone = [row for row in had if _identity(field, row) not in kept]
            listed = ", ".join(_said(field, row) for row in gone or had[len(given) :])
            text = _(N_("{option} is the whole list. These go: {rows}."))
            yield text.format(option=shown_name(field), rows=listed)


def _identity(field: Field, row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells a row of a table from the others: what it refers to, else the first choice in it."""
    referred = tuple((f.key, row[f.key]) for f in field.fields if f.kind is Kind.REFERENCE and row.get(f.key))
    return referred or _chosen(field, row)


def _chosen(field: Field, row: Mapping[str, Any]) -> tuple[Any, ...]:
    first = next((f for f in field.fields if f.kind is Kind.CHOICE), None)
    return () if first is None else (row.get(first.key, first.initial),)


def _said(field: Field, row: Mapping[str, Any]) -> str:
    """A row in few words, as one would give it."""
    parts = [*map(str, _chosen(field, row))]
    parts += [f"{f.key}={row[f.key]}" for f in field.fields if f.kind is Kind.REFERENCE and row.get(f.key)]
    return ",".join(parts)
