"""The history of a host's load as charts over any span: zoomed, panned, read under a cursor (manual 6.2.2.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Grid

from core.errors import DosvmError
from core.i18n import N_, _
from screens.base import BaseScreen
from screens.context import Context
from screens.spec import Kind, ResourceSpec, Row
from screens.special.charts import WRITERS, Series, moment
from screens.special.host_detail import HostDetail
from widgets.bar import Bar, KeyHint, Piece
from widgets.chart import LineChart, Point

#: The span at first, and the shortest, in seconds.
DAY, SHORTEST = 86400.0, 300.0
#: The longest span, for hosts whose clock was wrong once.
LONGEST = 10 * 366 * DAY
#: Seconds between looks for new rows.
REFRESH = 60.0
#: Seconds that the keys must rest until the rows of a new span are asked for.
CALM = 0.08


class HostHistory(BaseScreen):
    """Four charts over one span with one cursor; Tab gives the whole room to each in turn."""

    BINDINGS: ClassVar[list[BindingType]] = [("tab", "turn", "")]
    SERIES: tuple[Series, ...] = HostDetail.SERIES
    DEFAULT_CSS = """
    HostHistory #span { height: 1; }
    HostHistory #charts { grid-size: 2 2; height: 1fr; grid-gutter: 0 2; padding: 0 1; }
    HostHistory.-one #charts { grid-size: 1 1; }
    """

    def __init__(self, context: Context, spec: ResourceSpec, row: Row | None = None) -> None:
        """Make the charts.

        Args:
            context: the context.
            spec: hosts, or their history.
            row: a host; or a row of the history, around which the charts begin.
        """
        super().__init__(context)
        self.resource_name = spec.name
        row = row or {}
        self._host, self._name = str(row.get("host", row.get("uuid", ""))), str(row.get("name", ""))
        now = self._now()
        self._cursor = moment(row["at"]) if "at" in row else now
        self._end = min(now, self._cursor + DAY / 2)
        self._begin = self._end - DAY
        self._samples: list[Mapping[str, Any]] = []
        self._extent: tuple[float, float] | None = None
        self._loaded = False
        self._turn = 0
        self._waiting = 0
        self._error: DosvmError | None = None

    def _now(self) -> float:
        return self.context.clock.now().replace(tzinfo=UTC).timestamp()

    def content(self) -> ComposeResult:
        """What the cursor is at, and the charts."""
        yield Bar(id="span")
        with Grid(id="charts"):
            for number, series in enumerate(self.SERIES):
                percent = series.kind is Kind.PERCENT
                yield LineChart(
                    _(series.title),
                    WRITERS[series.kind],
                    top=100.0 if percent else None,
                    least=1024.0,
                    binary=True,
                    id=f"chart-{number}",
                )

    def crumb(self) -> str:
        """The host."""
        return f"{self._name}: {_(N_('History chart'))}"

    def help_text(self) -> str:
        """What is drawn, and how one moves."""
        return _(
            N_(
                "Each column is a share of the time: the line is its mean, and it is as thick as the least and the most"
                " were apart. The arrows move the cursor, whose values stand above the charts; h and l move the span,"
                " + and - zoom at the cursor, 0 shows all there is, p goes to the peak of the first chart shown."
            )
        )

    def on_mount(self) -> None:
        """Ask for the first span, then follow."""
        self._show()
        # The charts know only then how many points they have room for.
        self.call_after_refresh(self._ask)
        self.set_interval(REFRESH, self._tick)

    def _tick(self) -> None:
        if self.app.screen is self and not self.context.link.lost:
            self._ask()

    def look_again(self) -> None:
        """Something changed, or it is back after an absence."""
        if self._loaded:
            self._ask()

    # -- what is shown

    def _charts(self) -> list[LineChart]:
        return [self.query_one(f"#chart-{number}", LineChart) for number in range(len(self.SERIES))]

    def _ask(self) -> None:
        begin, end = self._begin, self._end
        points = max(10, min(1000, max(chart.columns for chart in self._charts())))
        arguments = {"host": self._host, "since": _iso(begin), "until": _iso(end), "points": points}
        self.ask(
            lambda: self.context.backend.call("host-history.chart", **arguments), self._came, self._failed, key="chart"
        )

    def _came(self, answer: Mapping[str, Any]) -> None:
        self._loaded = True
        self._error = None
        self._samples = list(answer["samples"])
        first, last = answer["first"], answer["last"]
        self._extent = (float(first), float(last)) if first is not None and last is not None else None
        self._show()

    def _failed(self, error: DosvmError) -> None:
        self._loaded = True
        self._error = error
        self._show()
        self.context.desk.explain(error)

    def _show(self) -> None:
        """Draw what is known in the span that is wanted: keys answer at once, the rows come after."""
        empty = self._error.text() if self._error else _(N_("no rows")) if self._loaded else "..."
        for chart, series in zip(self._charts(), self.SERIES, strict=True):
            chart.set_points(_points(self._samples, series), self._begin, self._end, empty, cursor=self._cursor)
        self._show_span()

    def _show_span(self) -> None:
        begin, end, at = (_local(time) for time in (self._begin, self._end, self._cursor))
        point = self._charts()[0].under_cursor()
        rows = next((sample["count"] for sample in self._samples if point and sample["at"] == point.at), 0)
        each = _(N_("{count} rows in a column")).format(count=rows) if rows > 1 else ""
        left = [Piece(f" {begin:%Y-%m-%d %H:%M} - {end:%Y-%m-%d %H:%M}", "muted"), Piece(f"  {each}", "muted")]
        self.query_one("#span", Bar).set(left, [Piece(f"{at:%Y-%m-%d %H:%M:%S} ", "strong")])

    # -- keys

    def hints(self) -> Sequence[KeyHint]:
        """How one moves."""
        turn = _(N_("All")) if self._turn == len(self.SERIES) else _(self.SERIES[self._turn].title)
        return [
            KeyHint("Tab", turn, press="tab"),
            KeyHint("+", _(N_("Zoom in"))),
            KeyHint("-", _(N_("Zoom out"))),
            KeyHint("0", _(N_("All of it"))),
            KeyHint("h l", _(N_("Move")), press="l"),
            KeyHint("p", _(N_("Peak"))),
        ]

    def all_keys(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """Those of the hints, and the cursor's."""
        groups = super().all_keys()
        more = [
            ("Left Right", _(N_("move the cursor; at the edge, the span"))),
            ("Home End", _(N_("the first row there is; the newest"))),
            ("h l", _(N_("move the span"))),
        ]
        return [(groups[0][0], [*groups[0][1], *more]), *groups[1:]]

    def press_key(self, word: str) -> bool:
        """See :meth:`screens.base.BaseScreen.press_key`."""
        span = self._end - self._begin
        ways = {
            "left": lambda: self._move_cursor(-1),
            "right": lambda: self._move_cursor(1),
            "h": lambda: self._pan(-span / 4),
            "l": lambda: self._pan(span / 4),
            "pageup": lambda: self._pan(-span),
            "pagedown": lambda: self._pan(span),
            "+": lambda: self._zoom(0.5),
            "=": lambda: self._zoom(0.5),
            "-": lambda: self._zoom(2.0),
            "0": self._whole,
            "home": lambda: self._go_to(self._extent[0] if self._extent else self._begin),
            "end": lambda: self._go_to(self._now()),
            "p": self._peak,
            "r": self._ask,
            "f5": self._ask,
            "tab": self.action_turn,
        }
        if word not in ways:
            return super().press_key(word)
        ways[word]()
        return True

    def action_turn(self) -> None:
        """Give the room to one chart after the other, then to all again."""
        self._turn = (self._turn + 1) % (len(self.SERIES) + 1)
        self.set_class(self._turn > 0, "-one")
        for number, chart in enumerate(self._charts(), 1):
            chart.display = self._turn in (0, number)
        self.show_keys()
        # By then the charts have been drawn, and know how many points they have room for.
        self.set_timer(2 * CALM, self._ask)

    def _shown(self) -> LineChart:
        """The first chart that is on screen."""
        return self._charts()[max(0, self._turn - 1)]

    def _move_cursor(self, cells: int) -> None:
        step = self._shown().step
        self._cursor = min(self._now(), self._cursor + cells * step)
        if not self._begin <= self._cursor <= self._end:
            self._pan(cells * (self._end - self._begin) / 4, with_cursor=False)
        else:
            self._show()

    def _pan(self, seconds: float, *, with_cursor: bool = True) -> None:
        """Move the span; not past now, and not where nothing ever was."""
        least = self._extent[0] - (self._end - self._begin) / 2 if self._extent else self._begin
        seconds = min(seconds, max(0.0, self._now() - self._end))
        seconds = max(seconds, min(0.0, least - self._begin))
        self._begin, self._end = self._begin + seconds, self._end + seconds
        if with_cursor:
            self._cursor += seconds
        self._cursor = min(max(self._cursor, self._begin), self._end)
        self._changed()

    def _zoom(self, factor: float) -> None:
        """Make the span shorter or longer; what is under the cursor stays where it is."""
        span = self._end - self._begin
        wanted = min(LONGEST, max(SHORTEST, span * factor))
        share = (self._cursor - self._begin) / span
        self._begin = self._cursor - share * wanted
        self._end = self._begin + wanted
        if self._end > self._now():
            self._begin, self._end = self._now() - wanted, self._now()
        self._changed()

    def _whole(self) -> None:
        """All there is."""
        if self._extent is None:
            return
        first, last = self._extent
        self._begin, self._end = first, max(last + 1.0, first + SHORTEST)
        self._cursor = min(max(self._cursor, self._begin), self._end)
        self._changed()

    def _go_to(self, time: float) -> None:
        """The cursor at a time, in a span as long as now."""
        span = self._end - self._begin
        self._cursor = time
        if not self._begin <= time <= self._end:
            self._end = min(self._now(), time + span / 2)
            self._begin = self._end - span
        self._changed()

    def _peak(self) -> None:
        """The cursor where the first chart shown is highest."""
        key = self.SERIES[max(0, self._turn - 1)].keys[0]
        if self._samples:
            self._cursor = float(max(self._samples, key=lambda sample: sample[f"{key}_high"])["at"])
            self._show()

    def _changed(self) -> None:
        """Another span: what is known of it is drawn at once, the rest is asked for when the keys rest."""
        self._show()
        self._waiting += 1
        number = self._waiting
        self.set_timer(CALM, lambda: self._ask() if number == self._waiting else None)

    def retranslate(self) -> None:
        """See :meth:`screens.base.BaseScreen.retranslate`."""
        for chart, series in zip(self._charts(), self.SERIES, strict=True):
            chart.set_title(_(series.title))
        self._show()
        super().retranslate()


def _points(samples: Sequence[Mapping[str, Any]], series: Series) -> list[Point]:
    (key,) = series.keys
    return [Point(float(s["at"]), s[key], s[f"{key}_low"], s[f"{key}_high"]) for s in samples]


def _iso(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).replace(tzinfo=None).isoformat()


def _local(time: float) -> datetime:
    return datetime.fromtimestamp(time, UTC).astimezone()
