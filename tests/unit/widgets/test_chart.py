"""Line charts, drawn on a terminal of known size."""

from __future__ import annotations

import pytest
from textual.app import App, ComposeResult

from widgets.chart import Gauge, LineChart, Point, time_form
from widgets.glyphs import use_plain


class OneChart(App[None]):
    def __init__(self, chart: LineChart) -> None:
        super().__init__()
        self.chart = chart

    def compose(self) -> ComposeResult:
        yield self.chart


def percent(value: float) -> str:
    return f"{value:.0f}%"


async def drawn(chart: LineChart, points: list[Point], begin: float, end: float) -> list[str]:
    app = OneChart(chart)
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.pause()
        chart.set_points(points, begin, end)
        await pilot.pause()
        return [strip.text for strip in app.screen._compositor.render_strips()]


async def test_a_constant_line_stands_at_its_height() -> None:
    lines = await drawn(LineChart("CPU", percent, top=100.0), [Point(t, 100.0) for t in range(61)], 0, 60)
    assert lines[0].startswith("CPU  100%")
    assert lines[1].startswith("100% ┤")
    assert lines[1][6:].strip() == "⠉" * 34
    assert lines[8].startswith("  0% ┤")
    assert not lines[8][6:].strip()


async def test_pauses_are_gaps_and_missing_values_too() -> None:
    points = [Point(t, 50.0) for t in range(20)] + [Point(t, 50.0) for t in range(40, 61)]
    points[5] = Point(5, None)
    lines = await drawn(LineChart("CPU", percent, top=100.0), points, 0, 60)
    plot = next(line for line in lines[1:9] if "⠉" in line or "⣀" in line or "⠤" in line or "⠒" in line)[6:]
    middle = plot[len(plot) * 23 // 60 : len(plot) * 36 // 60]
    assert not middle.strip()


async def test_the_scale_follows_the_values_in_round_figures() -> None:
    chart = LineChart("Net", lambda value: f"{value:.0f}B", least=1.0, binary=True)
    lines = await drawn(chart, [Point(0, 0.0), Point(60, 700.0)], 0, 60)
    assert lines[1].startswith("1024B ┤")
    assert chart.present == 700.0


async def test_only_lines_that_changed_are_painted_again() -> None:
    chart = LineChart("CPU", percent, top=100.0)
    app = OneChart(chart)
    async with app.run_test(size=(40, 10)) as pilot:
        points = [Point(t, 100.0) for t in range(61)]
        chart.set_points(points, 0, 60)
        await pilot.pause()
        painted: list[int] = []
        draw = chart.render_line
        chart.render_line = lambda y: (painted.append(y), draw(y))[1]  # type: ignore[method-assign]
        chart.set_points([*points[:-1], Point(60, 90.0)], 0, 60)
        await pilot.pause()
        assert set(painted) <= {0, 1, 2}


async def test_plain_charts_are_ascii() -> None:
    use_plain(True)
    try:
        lines = await drawn(LineChart("CPU", percent, top=100.0), [Point(t, t * 1.0) for t in range(61)], 0, 60)
    finally:
        use_plain(False)
    assert "".join(lines).isascii()
    assert "*" in "".join(lines)


async def test_a_gauge_tells_its_share_in_words_too() -> None:
    class OneGauge(App[None]):
        def compose(self) -> ComposeResult:
            yield Gauge(8, 10)

    app = OneGauge()
    async with app.run_test(size=(60, 3)) as pilot:
        app.query_one(Gauge).set("Disk", 1.25, "5 of 4")
        await pilot.pause()
        text = app.screen._compositor.render_strips()[0].text
        assert "Disk" in text
        assert "125%" in text
        assert "5 of 4" in text


async def marked(points: list[Point], cursor: float) -> list[str]:
    """The lines of a chart of a hundred seconds with a cursor."""
    chart = LineChart("CPU", percent, top=100.0)
    app = OneChart(chart)
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.pause()
        chart.set_points(points, 0, 100, cursor=cursor)
        await pilot.pause()
        return [strip.text for strip in app.screen._compositor.render_strips()]


async def test_the_value_under_the_cursor_is_told_with_what_it_stands_for() -> None:
    points = [Point(t, float(t), t - 1.0, min(100.0, t + 20.0)) for t in range(0, 101, 10)]
    assert (await marked(points, 30))[0].startswith("CPU  30% (29%-50%)")
    assert (await marked([Point(50, 7.0, 7.0, 7.0)], 50))[0].strip() == "CPU  7%"


async def test_where_nothing_is_known_the_cursor_tells_nothing() -> None:
    points = [Point(t, 40.0) for t in range(21)]
    assert (await marked(points, 80))[0].strip() == "CPU  -"


async def test_the_cursor_is_a_stroke_that_needs_no_colour() -> None:
    lines = await marked([Point(t, 0.0) for t in range(101)], 50)
    columns = {row.index("│", 7) for row in lines[1:8] if "│" in row[7:]}
    assert len(columns) == 1


async def test_what_a_mean_would_hide_is_drawn() -> None:
    lines = await drawn(LineChart("CPU", percent, top=100.0), [Point(30, 10.0, 0.0, 100.0)], 0, 60)
    assert all(row[6:].strip(" └┤│") for row in lines[1:9]), "the peak of one point is not seen"


@pytest.mark.parametrize(("seconds", "form"), [(300, "%H:%M:%S"), (86400, "%m-%d %H:%M"), (30 * 86400, "%Y-%m-%d")])
def test_an_axis_says_as_much_of_a_time_as_tells_its_ends_apart(seconds: float, form: str) -> None:
    assert time_form(seconds) == form
