"""What a project uses of each quota, as circles with the figures (manual 7.3.2)."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Grid

from core.i18n import N_, _
from screens import registry
from screens.context import Context
from screens.generic.resource_detail import ResourceDetail
from screens.spec import Kind, ResourceSpec, Row
from screens.values import show
from widgets.bar import KeyHint
from widgets.pie import Pie, PieLegend, percent
from widgets.text import wrap

#: Key of the quota, msgid, kind.
QUOTAS = (
    ("instances", N_("Instances"), Kind.INTEGER),
    ("vcpus", N_("VCPUs"), Kind.INTEGER),
    ("memory", N_("Memory"), Kind.SIZE),
    ("disk", N_("Disk"), Kind.SIZE),
    ("images", N_("Images"), Kind.INTEGER),
    ("image_bytes", N_("Image space"), Kind.SIZE),
    ("snapshots", N_("Snapshots"), Kind.INTEGER),
)
#: Circles side by side.
_ACROSS = 4
_MOVES = {"left": -1, "right": 1, "up": -_ACROSS, "down": _ACROSS, "h": -1, "l": 1, "k": -_ACROSS, "j": _ACROSS}


class UsageDetail(ResourceDetail):
    """The quotas of one project: all at once, or the one that was chosen large."""

    DEFAULT_CSS = """
    UsageDetail #pies { grid-size: 4 2; grid-gutter: 0 0; height: 1fr; }
    UsageDetail.-one #pies { grid-size: 2 1; grid-columns: 1fr 28; }
    """

    def __init__(self, context: Context, spec: ResourceSpec, row: Row | None = None) -> None:
        """Make it for a row of the usage list, or of the projects."""
        super().__init__(context, spec if spec.name == "usage" else registry.resource("usage"), row)
        self._at = 0
        self._large = False

    def content(self) -> ComposeResult:
        """A circle for each quota, and what they mean."""
        with Grid(id="pies"):
            for key, _title, _kind in QUOTAS:
                yield Pie(id=f"pie-{key}")
            yield PieLegend(id="legend")

    def take_focus(self) -> None:
        """The keys are the screen's own."""

    def show_row(self) -> None:
        """Fill the circles."""
        self.set_class(self._large, "-one")
        for number, (pie, (key, title, kind)) in enumerate(zip(self.query(Pie), QUOTAS, strict=True)):
            used, most = self.row.get(f"used_{key}"), self.row.get(f"max_{key}")
            pie.display = not self._large or number == self._at
            share = None if most is None or used is None else used / most if most else (2.0 if used else None)
            figures = (*_figures(used, most, share, kind), *self._uploading(key, kind))
            pie.set(_(title), share, figures, chosen=number == self._at)
        self.query_one(PieLegend).set(_(N_("used")), _(N_("free")), self._legend())

    def _uploading(self, key: str, kind: Kind) -> list[str]:
        """What of a quota is used by what has not arrived yet, if anything is."""
        count = self.row.get(f"uploading_{key}")
        return [_(N_("{count} uploading")).format(count=show(count, kind))] if count else []

    def _legend(self) -> list[tuple[str, bool]]:
        lines: list[tuple[str, bool]] = [(part, False) for part in wrap(self.gone(), 18)] if self.gone() else []
        if self._large:
            key, _title, kind = QUOTAS[self._at]
            used, most = self.row.get(f"used_{key}"), self.row.get(f"max_{key}")
            if used is not None and most is not None:
                rest = (N_("over"), used - most) if used > most else (N_("free"), most - used)
                for label, value in ((N_("used"), used), rest, (N_("quota"), most)):
                    lines += [(f"{_(label)}: {show(value, kind)}", False)]
                lines.append(("", False))
        lines.append((_(N_("VCPU run time")), True))
        lines.append((show(self.row.get("vcpu_seconds"), Kind.RUN_TIME), False))
        return lines

    def hints(self) -> Sequence[KeyHint]:
        """Those of the details, and how to see one circle large."""
        size = _(N_("All")) if self._large else _(N_("Large"))
        return [KeyHint("Enter", size, press="enter"), *super().hints()]

    def press_key(self, word: str) -> bool:
        """See :meth:`screens.base.BaseScreen.press_key`."""
        if word in _MOVES:
            self._choose(self._at + _MOVES[word])
        elif word == "enter" or (word == "escape" and self._large):
            self._show_large(not self._large)
        else:
            return super().press_key(word)
        return True

    def _choose(self, number: int) -> None:
        if 0 <= number < len(QUOTAS):
            self._at = number
            self.show_row()

    def _show_large(self, large: bool) -> None:
        self._large = large
        self.show_row()
        self.show_keys()

    def on_pie_pressed(self, event: Pie.Pressed) -> None:
        """A click chooses a circle; another one shows it large."""
        event.stop()
        number = list(self.query(Pie)).index(event.pie)
        if number == self._at:
            self._show_large(not self._large)
        else:
            self._choose(number)


def _figures(used: int | None, most: int | None, share: float | None, kind: Kind) -> tuple[str, str]:
    """The share in words, and the two numbers that it is of."""
    if used is None:
        return show(None, kind), ""
    if most is None:
        return _(N_("no limit")), show(used, kind)
    numbers = _(N_("{used} of {most}")).format(used=show(used, kind), most=show(most, kind))
    if not most:
        return _(N_("none allowed")), numbers
    text = percent(share or 0.0)
    return (_(N_("{percent}, over")).format(percent=text) if used > most else text), numbers
