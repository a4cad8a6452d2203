"""Details with charts of the recent load: what hosts and VMs have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Grid, Vertical
from textual.timer import Timer

from core.errors import DosvmError
from core.i18n import N_, _
from core.rules.sizes import format_size
from screens.generic.form_dialog import FormDialog
from screens.generic.resource_detail import ResourceDetail
from screens.spec import Field, Kind
from widgets.bar import KeyHint
from widgets.chart import LineChart, Point
from widgets.field_list import FieldList

#: Seconds of history a chart shows.
SPAN = 300.0
#: Below this interval the person is warned: it costs the host (manual 6.2.2.2).
FREQUENT = 5.0
SHORTEST, LONGEST = 1, 3600
#: Lines that two rows of charts need to be read at all.
CHARTS_LINES = 13


@dataclass(frozen=True)
class Series:
    """One chart.

    Attributes:
        keys: the sample's keys whose values are summed.
        title: msgid.
        kind: PERCENT, SIZE or RATE.
        rates: whether the keys are counters of bytes per second to be shown as a rate.
    """

    keys: tuple[str, ...]
    title: str
    kind: Kind


def write_percent(value: float) -> str:
    """A share in percent."""
    return f"{value:.0f}%"


def write_size(value: float) -> str:
    """Bytes, short."""
    return format_size(round(value))


def write_rate(value: float) -> str:
    """Bytes per second, short."""
    return f"{format_size(round(value))}/s"


WRITERS = {Kind.PERCENT: write_percent, Kind.SIZE: write_size, Kind.RATE: write_rate}


def moment(at: Any) -> float:
    """The time of a sample as Unix seconds, whether it came as a number or as ISO 8601."""
    if isinstance(at, int | float):
        return float(at)
    time = datetime.fromisoformat(str(at))
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def joined(samples: Sequence[Mapping[str, Any]], series: Series) -> list[Point]:
    """The points of one chart from samples."""
    points = []
    for sample in samples:
        values = [sample.get(key) for key in series.keys]
        known = [float(value) for value in values if value is not None]
        points.append(Point(moment(sample["at"]), sum(known) if known else None))
    return points


class ChartDetail(ResourceDetail):
    """Facts and four charts; Tab gives the whole room to the charts, then to the facts, then to both again.

    Subclasses say which samples, and which charts.
    """

    BINDINGS: ClassVar[list[BindingType]] = [("tab", "turn", "")]
    SERIES: tuple[Series, ...] = ()
    SAMPLES = ""
    DEFAULT_CSS = """
    ChartDetail #both { height: 1fr; layout: vertical; }
    ChartDetail #facts { height: 9; }
    ChartDetail #charts { grid-size: 2 2; height: 1fr; grid-gutter: 0 2; padding: 0 1; }
    ChartDetail.-facts #facts { height: 1fr; }
    ChartDetail.-facts #charts { display: none; }
    ChartDetail.-charts #facts { display: none; }
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """As :class:`screens.generic.resource_detail.ResourceDetail`."""
        super().__init__(*arguments, **options)
        self._samples: list[Mapping[str, Any]] = []
        self._asking = False
        self._timer: Timer | None = None
        self._turn = 0
        self._error: DosvmError | None = None
        #: Where the time shown ends; None before anything was answered.
        self._end: float | None = None

    def content(self) -> ComposeResult:
        """The facts and the charts."""
        with Vertical(id="both"):
            yield FieldList(id="facts", flow=True)
            with Grid(id="charts"):
                for number, series in enumerate(self.SERIES):
                    yield LineChart(
                        _(series.title),
                        WRITERS[series.kind],
                        top=100.0 if series.kind is Kind.PERCENT else None,
                        least=1024.0,
                        binary=True,
                        id=f"chart-{number}",
                    )

    def on_mount(self) -> None:
        """Ask for the history, then follow it."""
        self._set_timer()
        self._ask_samples()

    def show_row(self) -> None:
        """Facts take as many lines as they need, if that leaves the charts enough."""
        super().show_row()
        self.call_after_refresh(self._share_room)

    def on_resize(self) -> None:
        """Share the room anew."""
        self.call_after_refresh(self._share_room)

    def _share_room(self) -> None:
        facts = self.query_one(FieldList)
        room = self.query_one("#both").size.height
        if self._turn == 1:
            return
        most = max(4, room - CHARTS_LINES) if self._turn == 0 else room
        facts.styles.height = min(facts.line_count + 1, most) if self._turn == 0 else "1fr"

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_interval(self.context.settings.chart_interval, self._chart_tick)

    def _chart_tick(self) -> None:
        if self.app.screen is self and not self.context.link.lost:
            self._ask_samples()

    @abstractmethod
    def target(self) -> dict[str, Any]:
        """The argument of the samples operation that means this row."""

    def _ask_samples(self) -> None:
        if self._asking:
            return
        self._asking = True
        now = self.context.clock.now().replace(tzinfo=UTC).timestamp()
        since = moment(self._samples[-1]["at"]) if self._samples else now - SPAN
        arguments = {**self.target(), "since": int(since)}
        self.ask(lambda: self.context.backend.call(self.SAMPLES, **arguments), self._samples_came, self._samples_failed)

    def _samples_came(self, answer: Mapping[str, Any]) -> None:
        self._asking = False
        self._error = None
        last = moment(self._samples[-1]["at"]) if self._samples else 0.0
        new = [sample for sample in answer["samples"] if moment(sample["at"]) > last]
        now = self.context.clock.now().replace(tzinfo=UTC).timestamp()
        end = max(now, moment(new[-1]["at"]) if new else 0.0)
        self._samples = [s for s in [*self._samples, *new] if moment(s["at"]) >= end - SPAN]
        self._show_charts(end)

    def _samples_failed(self, error: DosvmError) -> None:
        self._asking = False
        self._error = error
        now = self.context.clock.now().replace(tzinfo=UTC).timestamp()
        self._show_charts(now)

    def _show_charts(self, end: float) -> None:
        self._end = end
        empty = self._error.text() if self._error else _(N_("no samples yet"))
        for number, series in enumerate(self.SERIES):
            chart = self.query_one(f"#chart-{number}", LineChart)
            chart.set_points(joined(self._samples, series), end - SPAN, end, empty)

    # -- keys

    def hints(self) -> Sequence[KeyHint]:
        """Those of the details, the turn and the interval."""
        turn = (N_("Charts"), N_("Facts"), N_("Both"))[self._turn]
        seconds = f"{self.context.settings.chart_interval:g}"
        every = KeyHint("i", _(N_("Every {seconds} s")).format(seconds=seconds))
        return [KeyHint("Tab", _(turn), press="tab"), *super().hints(), every]

    def press_key(self, word: str) -> bool:
        """See :meth:`screens.base.BaseScreen.press_key`."""
        if word == "tab":
            self.action_turn()
        elif word == "i":
            self.ask_interval()
        else:
            return super().press_key(word)
        return True

    def action_turn(self) -> None:
        """Give the room to the charts, to the facts, or to both."""
        self._turn = (self._turn + 1) % 3
        self.set_class(self._turn == 1, "-charts")
        self.set_class(self._turn == 2, "-facts")
        self._share_room()
        self.show_keys()

    def ask_interval(self) -> None:
        """Ask how often the charts are to be renewed."""
        field = Field(
            "seconds",
            N_("Renew the charts every"),
            Kind.INTEGER,
            required=True,
            default=round(self.context.settings.chart_interval),
            minimum=SHORTEST,
            maximum=LONGEST,
            unit="s",
            hint=N_("Under 5 s the questions themselves load the host."),
        )
        dialog = FormDialog(self.context, lambda: _(N_("Interval")), (field,), None, button=lambda: _(N_("Set")))
        self.context.desk.show(dialog, self._interval_typed)

    def _interval_typed(self, typed: Mapping[str, Any] | None) -> None:
        if typed is None:
            return
        self.context.settings.chart_interval = float(typed["seconds"])
        self.context.settings.save()
        self._set_timer()
        self.show_keys()
        if typed["seconds"] < FREQUENT:
            text = _(N_("Charts every {seconds} s load the host; 5 s or more is kinder."))
            self.context.desk.notice(text.format(seconds=typed["seconds"]), "warning")

    def retranslate(self) -> None:
        """See :meth:`screens.base.BaseScreen.retranslate`."""
        for number, series in enumerate(self.SERIES):
            self.query_one(f"#chart-{number}", LineChart).set_title(_(series.title))
        if self._end is not None:
            self._show_charts(self._end)
        super().retranslate()
