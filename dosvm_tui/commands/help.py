"""`--help` of the whole, of an area and of a command, made from the declarations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.i18n import N_, _
from dosvm_tui.commands.action import selectable
from dosvm_tui.commands.options import offered, options_of, shown_name
from dosvm_tui.commands.output import cells_of
from dosvm_tui.commands.resource import LIST_OPTIONS, verbs
from dosvm_tui.commands.selecting import SELECTING
from dosvm_tui.commands.words import EVERYWHERE, Option
from screens import registry
from screens.spec import SYSADM, Action, Field, Kind, ResourceSpec, Target
from screens.values import show


def overview(built_in: Mapping[str, str]) -> str:
    """The help of `dosvm` itself."""
    lines = [
        _(N_("dosvm: a private cloud of virtual machines. Without words it opens the console.")),
        "",
        _("Usage: {words}").format(words="dosvm [AREA VERB ...]"),
        "",
        *_table(
            [(name, _(text)) for name, text in built_in.items()]
            + [(spec.name, _(spec.title)) for spec in registry.resources() if spec.name not in built_in]
        ),
        "",
        _(N_("`dosvm AREA --help` lists the verbs of an area, `dosvm AREA VERB --help` the options of a verb.")),
        "",
        *_options(EVERYWHERE),
    ]
    return "\n".join(lines)


def usage(command: str, options: Sequence[Option]) -> str:
    """The help of a command that is no resource's."""
    lines = [_("Usage: {words}").format(words=f"dosvm {command} [OPTIONS]"), ""]
    return "\n".join([*lines, *_options(options), *([""] if options else []), *_options(EVERYWHERE)])


def help_for(spec: ResourceSpec, verb: str | None) -> str:
    """The help of an area, or of one of its verbs."""
    if verb is not None and verb in verbs(spec):
        return _help_for_verb(spec, verb)
    actions = {action.verb: action for action in spec.actions}
    lines = [f"dosvm {spec.name}: {_(spec.title)}", ""]
    if spec.help:
        lines += [_(spec.help), ""]
    texts = {"list": _(N_("List")), "show": _(N_("Details"))}
    lines += _table([(name, texts.get(name) or _verb_text(spec, actions[name])) for name in verbs(spec)])
    return "\n".join(lines)


def _verb_text(spec: ResourceSpec, action: Action) -> str:
    """What a verb does, and who may where not all who see the area may."""
    if set(action.roles) >= set(spec.roles):
        return _(action.label)
    if SYSADM in action.roles:
        return _(N_("{what} (the system administrator)")).format(what=_(action.label))
    return _(N_("{what} (project administrators)")).format(what=_(action.label))


def _help_for_verb(spec: ResourceSpec, verb: str) -> str:
    action = next((a for a in spec.actions if a.verb == verb), None)
    words = ["dosvm", spec.name, verb]
    fields: Sequence[Field] = ()
    if action is not None:
        fields = [f for f in action.fields if offered(f)]
        words += _target(spec, action)
        words += [shown_name(f) for f in fields if f.positional]
    elif verb == "show" and not spec.single:
        words.append(spec.name.upper())
    lines = [_("Usage: {words}").format(words=" ".join([*words, "[OPTIONS]"])), ""]
    whole = action is not None and action.target is Target.ROW
    lines += _table(
        [
            (_left(option, switch=field.kind is Kind.BOOLEAN), _field_text(field, whole=whole))
            for option, field in _own(fields)
        ]
    )
    if verb == "list" or (action is not None and selectable(spec, action)):
        lines += _options(LIST_OPTIONS if verb == "list" else SELECTING)
        keys = ", ".join(f.key for f in spec.filters)
        lines += ["", f"{_(N_('Filters'))}: {keys}"] if keys else []
    for field in fields:
        if field.fields:
            lines += ["", f"{shown_name(field)} KEY=VALUE,..."]
            lines += _table([(option.name, _field_text(f)) for option, f in _own(field.fields)])
    return "\n".join([*lines, "", *_options(EVERYWHERE)])


def _target(spec: ResourceSpec, action: Action) -> list[str]:
    if action.target is Target.NOTHING or spec.single:
        return []
    return [spec.name.upper() + (" ..." if action.target is Target.ROWS else "")]


def _own(fields: Sequence[Field]) -> list[tuple[Option, Field]]:
    asked = [f for f in fields if offered(f) and not f.positional]
    return list(zip(options_of(asked), asked, strict=True))


def _field_text(field: Field, *, whole: bool = False) -> str:
    """What is said of a field; ``whole``: what is there already is changed by it."""
    parts = [_(field.label)]
    if field.unit:
        parts.append(f"[{field.unit}]")
    if field.required and field.initial in (None, ""):
        parts.append(_(N_("(needed)")) if field.when is None else _(N_("(needed where it applies)")))
    if field.hint:
        parts = [_(N_("{label}: {hint}")).format(label=" ".join(parts), hint=_(field.hint))]
    changes = field.key.startswith(("add_", "remove_"))
    if whole and field.kind in (Kind.ROWS, Kind.REFERENCES) and not changes:
        parts.append(_(N_("This is the whole list: what is not named goes.")))
    if field.initial not in (None, "", False) and field.kind is not Kind.ROWS:
        parts.append(_(N_("Default: {value}.")).format(value=show(field.initial, field.kind)))
    return " ".join(parts)


def _left(option: Option, *, switch: bool = False) -> str:
    """How an option is written; ``switch``: a flag that can be said to be off as well."""
    short = f"-{option.short}, " if option.short else ""
    return f"{short}--{'[no-]' if switch else ''}{option.name}" + (f" {option.takes}" if option.takes else "")


def _options(options: Sequence[Option]) -> list[str]:
    return _table([(_left(option), _(option.help)) for option in options])


def _table(rows: Sequence[tuple[str, str]]) -> list[str]:
    # A very long left side (many choices) gets a line of its own rather than pushing all others aside.
    width = max((cells_of(left) for left, _right in rows if cells_of(left) <= 34), default=0)
    lines = []
    for left, right in rows:
        if cells_of(left) <= width:
            lines.append(f"  {left}{' ' * (width - cells_of(left))}  {right}")
        else:
            lines += [f"  {left}", f"  {' ' * width}  {right}"]
    return lines
