"""Lets the database itself count how often tasks end, so that a second end is seen however it came about."""

from __future__ import annotations

import sqlite3

from tests.lab.lab import Lab

_ENDS = "('done', 'failed', 'cancelled')"


class Ledger:
    """Counts on SQLite, by triggers; to be made while hostd does not run."""

    def __init__(self, lab: Lab) -> None:
        """Begin to count; what was counted before is forgotten."""
        self._lab = lab
        connection = sqlite3.connect(lab[0].home / "cloud.db")
        with connection:
            connection.executescript(
                "DROP TRIGGER IF EXISTS lab_task_ends; DROP TABLE IF EXISTS lab_end;"
                "CREATE TABLE lab_end (task INTEGER, old TEXT, new TEXT);"
                f"CREATE TRIGGER lab_task_ends AFTER UPDATE OF state ON task WHEN OLD.state IN {_ENDS} "
                f"OR NEW.state IN {_ENDS} BEGIN INSERT INTO lab_end VALUES (NEW.id, OLD.state, NEW.state); END;"
            )
        connection.close()
        ((self._last,),) = lab.rows("SELECT COALESCE(MAX(id), 0) FROM task")

    def tasks(self) -> list[tuple[object, ...]]:
        """The kinds and states of the tasks that were asked for since."""
        return self._lab.rows("SELECT kind, state FROM task WHERE id > ? ORDER BY id", self._last)

    def open_tasks(self) -> list[tuple[object, ...]]:
        """The tasks that have not ended."""
        return self._lab.rows(f"SELECT kind, target_name, state, attempts FROM task WHERE state NOT IN {_ENDS}")

    def check(self) -> None:
        """Check that every task since then ended exactly once.

        Raises:
            AssertionError: one did not, or did more than once.
        """
        assert self.open_tasks() == []
        again = self._lab.rows("SELECT task, COUNT(*) FROM lab_end GROUP BY task HAVING COUNT(*) <> 1")
        assert again == [], f"tasks that ended more than once: {again}"
        assert self._lab.rows(f"SELECT task FROM lab_end WHERE old IN {_ENDS}") == []
        never = self._lab.rows("SELECT id, kind FROM task WHERE finished IS NULL")
        assert never == [], f"tasks without an end: {never}"
