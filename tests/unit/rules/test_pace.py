"""What is said of bytes on their way: rate and time left."""

from __future__ import annotations

from core.rules.pace import Pace

MIB = 1024 * 1024


def test_rate_and_time_left_are_those_of_the_last_seconds() -> None:
    pace = Pace(1000 * MIB)
    assert (pace.percent, pace.words()) == (0.0, "")
    pace.tell(0.0, 0)
    assert pace.words() == "", "one look tells no rate"
    for second in range(1, 11):
        pace.tell(float(second), second * MIB)
    for second in range(11, 21):
        pace.tell(float(second), (10 + (second - 10) * 10) * MIB)
    assert pace.words() == "10 MiB/s, 1:29 left", "what was slow at first is forgotten"
    assert round(pace.percent) == 11


def test_what_begins_anew_has_no_negative_rate() -> None:
    pace = Pace(4 * MIB)
    pace.tell(0.0, 3 * MIB)
    pace.tell(1.0, 1 * MIB)
    assert pace.rate == 0.0
    pace.tell(2.0, 2 * MIB)
    assert pace.words() == "1 MiB/s, 0:02 left"


def test_hours_are_said_and_no_time_gives_no_rate() -> None:
    pace = Pace(7200 * MIB)
    pace.tell(1.0, 0)
    pace.tell(1.0, MIB)
    assert pace.words() == ""
    pace = Pace(7200 * MIB)
    pace.tell(1.0, 0)
    pace.tell(2.0, MIB)
    assert pace.words() == "1 MiB/s, 1:59:59 left"
