"""The peer of the console: Textual's own DataTable with as many rows, cells changing, and nothing else."""

from __future__ import annotations

import random
import sys

from textual.app import App, ComposeResult
from textual.widgets import DataTable


class StockTable(App[None]):
    """``python -m tests.bench.stock_table ROWS UPDATES_PER_SECOND``."""

    def __init__(self, rows: int, updates: int) -> None:
        super().__init__()
        self._rows, self._updates = rows, updates

    def compose(self) -> ComposeResult:
        """The table alone."""
        yield DataTable(cursor_type="row")

    def on_mount(self) -> None:
        """Fill it, and begin to change it."""
        table = self.query_one(DataTable)
        for column in ("Name", "Host", "Power", "State", "CPU", "Memory", "Screen"):
            table.add_column(column, key=column)
        for number in range(self._rows):
            name = f"vm-{number:05}"
            table.add_row(name, "server185", "on", "running", "7 %", "1.0 GiB", "192.0.2.7:5900", key=name)
        if self._updates:
            self.set_interval(0.05, self._change)

    def _change(self) -> None:
        table = self.query_one(DataTable)
        for _ in range(self._updates // 20):
            table.update_cell(f"vm-{random.randrange(self._rows):05}", "CPU", f"{random.randrange(100)} %")


if __name__ == "__main__":
    StockTable(int(sys.argv[1]), int(sys.argv[2])).run()
