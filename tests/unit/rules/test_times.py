"""Times as people type them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from core.errors import InvalidInput
from core.rules.times import read_time
from screens.spec import Field, Kind
from screens.values import read, typed_time

SHANGHAI = datetime(2026, 1, 31, 18, 30, 20, tzinfo=ZoneInfo("Asia/Shanghai"))


@pytest.mark.parametrize(
    ("typed", "utc"),
    [
        ("2026-01-31", "2026-01-30T16:00:00"),
        ("2026-01-31 18:30", "2026-01-31T10:30:00"),
        ("2026-01-31T18:30:15", "2026-01-31T10:30:15"),
        ("2026-01-31T18:30Z", "2026-01-31T18:30:00"),
        ("2026-01-31 18:30+00:00", "2026-01-31T18:30:00"),
        (" 9:05 ", "2026-01-31T01:05:00"),
        ("today", "2026-01-30T16:00:00"),
        ("Yesterday", "2026-01-29T16:00:00"),
        ("昨天 08:00", "2026-01-30T00:00:00"),
        ("now", "2026-01-31T10:30:20"),
        ("-30m", "2026-01-31T10:00:20"),
        ("-2h", "2026-01-31T08:30:20"),
        ("-7d", "2026-01-24T10:30:20"),
        ("-4w", "2026-01-03T10:30:20"),
    ],
)
def test_a_time_is_understood(typed: str, utc: str) -> None:
    assert read_time(typed, SHANGHAI).isoformat() == utc


NONSENSE = ("", "soon", "-7", "7d", "-999999d", "-999999w", "2026-02-30", "25:00", "18:60", "yesterday 7")
BEYOND = ("0001-01-01", "9999-12-31 23:59-14:00")


@pytest.mark.parametrize("typed", [*NONSENSE, *BEYOND])
def test_what_is_no_time_is_refused_with_examples(typed: str) -> None:
    with pytest.raises(InvalidInput, match="not a time") as refused:
        read_time(typed, SHANGHAI)
    assert "-7d" in str(refused.value.remedy)


def test_days_back_keep_the_hour_when_clocks_are_changed() -> None:
    berlin = datetime(2026, 3, 29, 12, tzinfo=ZoneInfo("Europe/Berlin"))
    assert read_time("-1d", berlin).isoformat() == "2026-03-28T11:00:00"
    assert read_time("-24h", berlin).isoformat() == "2026-03-28T10:00:00"


@pytest.fixture
def _in_berlin() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Berlin"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.usefixtures("_in_berlin")
def test_a_form_shows_local_time_and_sends_utc() -> None:
    field = Field("since", "Since", Kind.TIME)
    assert read(field, "2026-07-01 12:00") == "2026-07-01T10:00:00", "the zone as it is on that day, not today"
    assert read(field, "2026-01-01 12:00") == "2026-01-01T11:00:00"
    assert typed_time("2026-07-01T10:00:00") == "2026-07-01 12:00"
    assert read(field, typed_time("2026-07-01T10:00:07")) == "2026-07-01T10:00:07"
    with pytest.raises(InvalidInput) as refused:
        read(field, "soon")
    assert refused.value.field == "since"
