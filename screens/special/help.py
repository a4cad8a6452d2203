"""Help for the screen one is at (F1): the declaration, the guide on it, its keys; and all its keys alone (?)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.i18n import N_, _, language
from screens.base import BaseScreen
from screens.context import Context
from screens.generic.viewer import Viewer, keys
from screens.special import guide
from widgets.field_list import Fact
from widgets.form_field import FormField

#: How the console is meant, for whoever opens the help first.
ABOUT = N_(
    "Lists, details and forms all work alike: arrows move, Enter opens, Esc goes back one step, a adds, e edits, d"
    " deletes, Space marks rows for an action on all of them. The last line shows the keys that act on the row under"
    " the cursor; grey ones make no sense for it now."
)


def help_of(context: Context, screen: BaseScreen) -> Viewer:
    """The help of a screen: what it shows, how the console works, its keys."""

    def facts() -> list[Fact]:
        about = [Fact(screen.crumb(), "", heading=True)]
        if screen.help_text():
            about += [Fact("", screen.help_text()), Fact("", " ")]
        about += guide.about(screen.resource_name, language())
        about += [Fact(_(N_("The console")), "", heading=True), Fact("", _(ABOUT)), Fact("", " ")]
        return [*about, *keys(screen.all_keys())]

    return Viewer(context, lambda: _(N_("Help")), facts)


def keys_of(context: Context, screen: BaseScreen) -> Viewer:
    """All keys of a screen."""
    return Viewer(context, lambda: _(N_("All keys")), lambda: keys(screen.all_keys()))


def _needed(field: FormField) -> str:
    return _(N_("Needed.")) if field.when is None else _(N_("Needed where it applies."))


def help_of_form(context: Context, title: Callable[[], str], fields: Callable[[], Sequence[FormField]]) -> Viewer:
    """What the fields of a form are for, panel by panel: the rule of each, what may be chosen, whether it is needed."""

    def facts() -> list[Fact]:
        found: list[Fact] = []
        panel = ""
        for field in fields():
            if field.panel != panel:
                panel = field.panel
                found += [Fact(" ", "", heading=True)] if found else []
                found.append(Fact(panel, "", heading=True))
            words = [label for _value, label in field.choices]
            parts = (
                _needed(field) if field.required else "",
                field.hint,
                field.unit and f"[{field.unit}]",
                f"({' / '.join(words)})" if words else "",
            )
            found.append(Fact(field.label, " ".join(part for part in parts if part) or "-"))
        return found

    return Viewer(context, lambda: f"{_('Help')}: {title()}", facts)
