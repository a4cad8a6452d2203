"""Files that this console sends: of two tries at the same one only the later goes on; neither is lost from sight."""

from __future__ import annotations

from screens.taskbook import Sent, TaskBook


def test_a_second_try_ends_the_first_and_stays_when_that_ends() -> None:
    book = TaskBook()
    first, second = (Sent("file u", "Upload", "disk", 10, lambda: None) for _ in range(2))
    book.send(first)
    book.send(second)
    assert first.stop.is_set()
    assert not second.stop.is_set()
    assert book.sending == [second]
    book.forget(first)
    assert book.sending == [second], "what is under way can be seen and broken off"
    book.forget(second)
    assert book.all == []
