"""The table of any length, by itself."""

from __future__ import annotations

from typing import Any

from textual.app import App, ComposeResult

from widgets.column_layout import TableColumn
from widgets.pages import Want
from widgets.virtual_table import Cell, VirtualTable


class OneTable(App[None]):
    """A table over numbers; it answers what the table wants at once."""

    answers = True

    def __init__(self, count: int) -> None:
        super().__init__()
        self.numbers = list(range(count))
        self.messages: list[Any] = []
        self.asked: list[Want] = []

    def compose(self) -> ComposeResult:
        columns = [TableColumn("name", "Name", 20, flexible=True), TableColumn("twice", "Twice", 8, right=True)]
        yield VirtualTable(columns, lambda n: [Cell(f"row {n}"), Cell(str(2 * n))], str, page_size=10)

    def on_mount(self) -> None:
        self.table.focus()
        self.answer()

    @property
    def table(self) -> VirtualTable:
        return self.query_one(VirtualTable)

    def answer(self) -> None:
        while (want := self.table.wanted()) is not None:
            self.asked.append(want)
            self.table.deliver(want, self.numbers[want.offset : want.offset + want.limit], len(self.numbers))

    def on_virtual_table_wanted(self) -> None:
        if self.answers:
            self.answer()

    def on_virtual_table_activated(self, message: VirtualTable.Activated) -> None:
        self.messages.append(("activated", message.row))

    def on_virtual_table_marked(self, message: VirtualTable.Marked) -> None:
        self.messages.append(("marked", message.count))

    def on_virtual_table_sort_wanted(self, message: VirtualTable.SortWanted) -> None:
        self.messages.append(("sort", message.column))

    def lines(self) -> list[str]:
        return [strip.text.rstrip() for strip in self.screen._compositor.render_strips()]


async def test_it_asks_for_what_is_on_screen_and_the_page_after_it_only() -> None:
    app = OneTable(1_000_000)
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.pause()
        assert "row 0" in app.lines()[1]
        assert sum(want.limit for want in app.asked) <= 40
        await pilot.press("end")
        await pilot.pause()
        assert "row 999999" in app.lines()[-1]
        assert sum(want.limit for want in app.asked) <= 80


async def test_the_cursor_moves_by_keys_of_all_schools() -> None:
    app = OneTable(100)
    async with app.run_test(size=(40, 12)) as pilot:
        for key, at in (("down", 1), ("j", 2), ("k", 1), ("up", 0), ("up", 0), ("pagedown", 10), ("pageup", 0)):
            await pilot.press(key)
            assert app.table.cursor == at, key
        await pilot.press("G")
        assert app.table.cursor == 99
        await pilot.press("g")
        assert app.table.cursor == 0


async def test_marks_space_star_and_gutter() -> None:
    app = OneTable(30)
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.press("space", "space")
        assert app.table.marked == [0, 1]
        assert app.table.cursor == 2
        await pilot.click(VirtualTable, offset=(0, 6))
        assert app.table.marked == [0, 1, 5]
        await pilot.press("*")
        assert app.table.marked == []
        assert app.messages[-1] == ("marked", 0)
        assert app.lines()[1].startswith("  row 0")


async def test_enter_and_double_click_activate_and_titles_sort() -> None:
    app = OneTable(30)
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.press("down", "enter")
        assert app.messages[-1] == ("activated", 1)
        await pilot.click(VirtualTable, offset=(5, 4), times=2)
        assert app.messages[-1] == ("activated", 3)
        await pilot.click(VirtualTable, offset=(36, 0))
        assert app.messages[-1] == ("sort", "twice")


async def test_the_cursor_goes_with_its_row_and_stays_on_its_line() -> None:
    app = OneTable(100)
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.press("pagedown", "down", "down")
        await pilot.pause()
        at = next(y for y, line in enumerate(app.lines()) if line.startswith("▸"))
        app.numbers = [1000, 1001, *app.numbers]
        want = app.table.seen()
        app.table.deliver(want, app.numbers[want.offset : want.offset + want.limit], len(app.numbers))
        await pilot.pause()
        assert app.table.cursor_row == 12
        assert app.lines()[at].startswith("▸ row 12") or app.lines()[at].startswith("▸  row 12")


async def test_a_row_that_vanished_leaves_the_cursor_on_its_neighbour() -> None:
    app = OneTable(5)
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.press("end")
        app.numbers = app.numbers[:3]
        app.table.deliver(app.table.seen(), app.numbers, 3)
        await pilot.pause()
        assert app.table.cursor == 2
        app.table.deliver(app.table.seen(), [], 0)
        await pilot.pause()
        assert app.table.cursor_row is None
        await pilot.press("down", "enter", "space", "G")


async def test_only_lines_that_changed_are_painted_again() -> None:
    app = OneTable(100)
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.pause()
        painted: list[int] = []
        paint = app.table.render_line
        app.table.render_line = lambda y: (painted.append(y), paint(y))[1]  # type: ignore[method-assign]
        await pilot.press("down")
        await pilot.pause()
        assert set(painted) <= {1, 2}
        painted.clear()
        want = app.table.seen()
        rows = list(app.numbers[want.offset : want.offset + want.limit])
        rows[4] = 77
        app.table.deliver(want, rows, 100)
        await pilot.pause()
        assert set(painted) == {5}


async def test_a_new_order_shows_the_old_rows_until_the_new_ones_come() -> None:
    app = OneTable(100)
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.press("down")
        app.answers = False
        app.table.restart()
        await pilot.pause()
        assert "row 0" in app.lines()[1]
        app.numbers.reverse()
        app.answer()
        await pilot.pause()
        assert "row 99" in app.lines()[1]
        assert app.table.cursor == 0


async def test_moving_past_the_edge_scrolls_by_a_third_of_the_page() -> None:
    app = OneTable(100)
    async with app.run_test(size=(40, 13)) as pilot:
        await pilot.press(*["down"] * 12)
        await pilot.pause()
        assert "row 5" in app.lines()[1]
        await pilot.press("down", "down")
        await pilot.pause()
        assert "row 5" in app.lines()[1]


async def test_the_words_that_stood_for_rows_go_when_rows_come() -> None:
    app = OneTable(0)
    async with app.run_test(size=(40, 12)) as pilot:
        app.table.set_placeholder("Nothing yet.")
        await pilot.pause()
        assert any("Nothing yet." in line for line in app.lines())
        app.numbers = [7]
        app.table.deliver(app.table.seen(), app.numbers, 1)
        await pilot.pause()
        assert any("row 7" in line for line in app.lines())
        assert not any("Nothing yet." in line for line in app.lines())


class Rates(OneTable):
    """A column of numbers that are never cut."""

    rate = "10.2 KiB/s"

    def compose(self) -> ComposeResult:
        columns = [
            TableColumn("name", "Name", 20, flexible=True),
            TableColumn("rate", "Rate", 10, right=True, shrinks=False),
        ]
        yield VirtualTable(columns, lambda n: [Cell(f"row {n}"), Cell(self.rate)], str, page_size=10)


async def test_a_number_that_grows_beyond_its_declared_width_is_not_cut() -> None:
    app = Rates(3)
    async with app.run_test(size=(40, 8)) as pilot:
        await pilot.pause()
        app.rate = "1023.9 KiB/s"
        app.table.deliver(Want(app.table.seen().generation, 0, 10), [10, 11, 12], 3)
        await pilot.pause()
        assert "1023.9 KiB/s" in app.lines()[1]
