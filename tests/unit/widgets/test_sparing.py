"""Only differences are written, and the terminal still shows exactly what it should."""

from __future__ import annotations

import pyte
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from widgets.sparing import Seen, SparingUpdate

WIDTH, HEIGHT = 20, 4
PLAIN, BOLD = Style(color="white", bgcolor="black"), Style(color="red", bgcolor="black", bold=True)
LETTERS = st.text(alphabet="ab 云机█▸", max_size=WIDTH)


def strip_of(text: str, style: Style) -> Strip:
    fitted = set_cell_size(text, WIDTH)
    middle = len(fitted) // 2
    return Strip([Segment(fitted[:middle], PLAIN), Segment(fitted[middle:], style)], WIDTH)


def update_of(lines: list[tuple[str, bool]]) -> LayoutUpdate:
    strips = [[strip_of(text, BOLD if bold else PLAIN)] for text, bold in lines]
    return LayoutUpdate(strips, Region(0, 0, WIDTH, HEIGHT))


def shown_by(screen: pyte.Screen) -> list[str]:
    # pyte keeps an empty text in the second cell of a wide character.
    return ["".join(screen.buffer[y][x].data for x in range(WIDTH)) for y in range(HEIGHT)]


def written(seen: Seen, console: Console, lines: list[tuple[str, bool]]) -> str:
    return SparingUpdate(seen, update_of(lines), WIDTH, HEIGHT).render_segments(console)


SCREENS = st.lists(
    st.lists(st.tuples(LETTERS, st.booleans()), min_size=HEIGHT, max_size=HEIGHT), min_size=1, max_size=6
)


@settings(max_examples=300, deadline=None)
@given(SCREENS)
def test_the_terminal_shows_what_the_last_screen_says(screens: list[list[tuple[str, bool]]]) -> None:
    console = Console(width=WIDTH, height=HEIGHT, color_system="truecolor", force_terminal=True)
    terminal = pyte.Screen(WIDTH, HEIGHT)
    stream = pyte.Stream(terminal)
    seen = Seen()
    for lines in screens:
        stream.feed(written(seen, console, lines))
        assert shown_by(terminal) == [set_cell_size(text, WIDTH) for text, _bold in lines]
        for y, (text, bold) in enumerate(lines):
            last = terminal.buffer[y][WIDTH - 1 if cell_len(set_cell_size(text, WIDTH)[-1:]) == 1 else WIDTH - 2]
            assert last.bold is bold


def test_nothing_is_written_for_what_is_there_already() -> None:
    console = Console(width=WIDTH, height=HEIGHT, color_system="truecolor", force_terminal=True)
    seen = Seen()
    lines = [("abc", False)] * HEIGHT
    assert written(seen, console, lines)
    assert written(seen, console, lines) == ""
    assert "b" in written(seen, console, [("abb", False), *lines[1:]])


def test_another_size_and_a_foreign_hand_make_everything_new() -> None:
    console = Console(width=WIDTH, height=HEIGHT, color_system="truecolor", force_terminal=True)
    seen = Seen()
    lines = [("abc", False)] * HEIGHT
    written(seen, console, lines)
    seen.forget()
    assert written(seen, console, lines)
    seen.fit(WIDTH + 1, HEIGHT)
    assert written(seen, console, lines)
