"""The history of hosts: by time span, thinned for charts, cleared before a time (manual 6.2.2.3, 6.2.2.5)."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, select

from core.coordination import hosts
from core.coordination.hosts import DROPPED_AT_ONCE, Load
from core.coordination.tasks import Claimed
from core.errors import InvalidInput, NotFound
from core.model import HostSample, Task
from hostd.handlers.purges import Purges
from hostd.handling import Context
from tests.fakes.cloud import StillCloud
from tests.fakes.office import Office

#: The time of the tests' clock.
NOW = datetime(2026, 1, 31, 12, 0)  # noqa: DTZ001  (naive UTC, as the database keeps it)


def unix(time: datetime) -> float:
    return time.replace(tzinfo=UTC).timestamp()


def fill(office: Office, host_id: int, count: int, *, every: float = 60.0, until: datetime = NOW) -> None:
    """A history: the processor's load is the number of minutes since its beginning, modulo 100."""
    begin = until - timedelta(seconds=every * count)
    rows = [
        HostSample(
            host_id=host_id, at=begin + timedelta(seconds=every * n), cpu_percent=float(n % 100), memory_percent=50.0,
            disk_percent=n / 10, network_rate=n * 1000.0,
        )
        for n in range(count)
    ]  # fmt: skip
    office.services.database.write(lambda session: session.add_all(rows))


@pytest.fixture
def two(office: Office, cloud: StillCloud) -> Office:
    """A cloud with two hosts that have two hours of history each."""
    one, other = office.host("h1"), office.host("h2")
    cloud.me = cloud.hosts()[0].uuid
    fill(office, one, 120)
    fill(office, other, 120)
    return office


def left(office: Office) -> int:
    return office.services.database.read(lambda s: s.scalar(select(func.count()).select_from(HostSample))) or 0


def work(office: Office) -> None:
    """Do what hostd would do with the task of clearing."""
    services = office.services

    def claimed(session: Any) -> Claimed:
        task = session.scalars(select(Task).where(Task.kind == "purge").order_by(Task.id.desc()).limit(1)).one()
        return Claimed(task.id, task.uuid, task.kind, task.target, task.target_name, None, {}, 1, task.origin)

    task = services.database.read(claimed)
    effect = Purges(services.database, services.clock).run(task, Context(lambda _percent: None, threading.Event()))
    assert effect is not None
    services.database.write(effect)


def test_a_span_of_one_host_is_paged_and_sorted_by_time(two: Office) -> None:
    span = {"host": "h1", "since": "2026-01-31T11:00", "until": "2026-01-31T11:30"}
    page = two.sysadm("host-history.list", filters=span, sort="at", limit=10)
    assert page["total"] == 30
    assert [row["at"] for row in page["rows"]] == [f"2026-01-31T11:{n:02}:00" for n in range(10)]
    assert {row["name"] for row in page["rows"]} == {"h1"}
    last = two.sysadm("host-history.list", filters=span, sort="at", offset=20, limit=10)["rows"]
    assert last[-1]["at"] == "2026-01-31T11:29:00"
    newest = two.sysadm("host-history.list", filters=span, sort="at", descending=True, limit=1)["rows"]
    assert newest == last[-1:]
    assert (newest[0]["cpu_percent"], newest[0]["memory_percent"]) == (89.0, 50.0)


def test_hosts_are_found_by_uuid_by_name_and_by_a_part_of_it(two: Office) -> None:
    uuid = two.sysadm("host.show", host="h1")["uuid"]
    assert two.sysadm("host-history.list", filters={"host": uuid})["total"] == 120
    assert two.sysadm("host-history.list", search="H2")["total"] == 120
    assert two.sysadm("host-history.list", search="h")["total"] == 240
    assert two.sysadm("host-history.list", search="other")["total"] == 0
    assert two.sysadm("host-history.list")["total"] == 240
    assert two.sysadm("host-history.list", filters={"host": "h3"})["total"] == 0
    with pytest.raises(NotFound):
        two.sysadm("host-history.chart", host="h3")


def test_a_chart_has_no_more_points_than_asked_for_and_hides_no_peak(two: Office) -> None:
    answer = two.sysadm("host-history.chart", host="h1", since="2026-01-31T10:00", until="2026-01-31T12:00", points=12)
    points = answer["samples"]
    assert [point["count"] for point in points] == [10] * 12
    assert [point["cpu_percent_low"] for point in points] == [n * 10.0 % 100 for n in range(12)]
    assert [point["cpu_percent_high"] for point in points] == [(n * 10.0 + 9) % 100 for n in range(12)]
    assert [point["cpu_percent"] for point in points] == [n * 10.0 % 100 + 4.5 for n in range(12)]
    assert points[0]["at"] == unix(NOW) - 7200 + 270
    assert points[3]["network_rate_high"] == 39_000.0
    assert (answer["first"], answer["last"]) == (unix(NOW) - 7200, unix(NOW) - 60)


def test_a_short_span_shows_the_rows_themselves(two: Office) -> None:
    answer = two.sysadm("host-history.chart", host="h1", since="2026-01-31T11:00", until="2026-01-31T11:05", points=200)
    assert [(p["at"], p["cpu_percent"], p["count"]) for p in answer["samples"]] == [
        (unix(NOW) - 3600 + 60 * n, 60.0 + n, 1) for n in range(5)
    ]


def test_all_there_is_and_nothing_at_all(two: Office) -> None:
    everything = two.sysadm("host-history.chart", host="h1", points=60)
    assert sum(point["count"] for point in everything["samples"]) == 120
    before = two.sysadm("host-history.chart", host="h1", since="2025-01-01", until="2025-01-02")
    assert before["samples"] == []
    two.host("h3")
    nothing = two.sysadm("host-history.chart", host="h3")
    assert (nothing["samples"], nothing["first"], nothing["last"]) == ([], None, None)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"since": "soon"}, "since"),
        ({"until": "[red]"}, "until"),
        ({"since": "2026-01-31", "until": "2026-01-30"}, "until"),
        ({"points": 1}, "points"),
        ({"points": 1001}, "points"),
    ],
)
def test_spans_that_make_no_sense_are_told_at_their_field(two: Office, arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        two.sysadm("host-history.chart", host="h1", **arguments)
    assert caught.value.field == field


def test_a_chart_costs_a_bounded_number_of_statements_and_rows(two: Office) -> None:
    statements: list[str] = []
    event.listen(two.services.database.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    two.sysadm("host-history.chart", host="h1", points=10)
    assert len([text for text in statements if "host_sample" in text]) == 3


def test_one_hosts_history_is_cleared_before_a_time_and_that_stays_on_record(two: Office) -> None:
    told = two.sysadm("host-history.clearable", host="h1", before="2026-01-31T11:00")
    assert told == {"rows": 60, "of": "h1"}
    two.sysadm("host-history.clear", host="h1", before="2026-01-31T11:00")
    work(two)
    assert left(two) == 180
    assert two.sysadm("host-history.list", filters={"host": "h1"})["total"] == 60
    (record,) = two.sysadm("log-purge.list")["rows"]
    assert {key: record[key] for key in ("what", "scope", "rows", "account", "before")} == {
        "what": "host-history", "scope": "h1", "rows": 60, "account": "sysadm", "before": "2026-01-31T11:00:00",
    }  # fmt: skip
    assert record["finished"]
    row = two.sysadm("log.list", sort="at", descending=True)["rows"][0]
    assert (row["operation"], row["target"]) == ("host-history.clear", "h1: 2026-01-31 11:00:00 UTC")


def test_all_hosts_histories_are_cleared_up_to_now(two: Office) -> None:
    assert two.sysadm("host-history.clearable", before="2026-01-31T12:00") == {"rows": 240, "of": "h1, h2"}
    two.sysadm("host-history.clear", before="2026-01-31T12:00")
    work(two)
    assert left(two) == 0
    (record,) = two.sysadm("log-purge.list")["rows"]
    assert (record["scope"], record["rows"]) == ("", 240)


@pytest.mark.parametrize("before", ["2026-01-31T12:00:01", "tomorrow", ""])
def test_what_has_not_been_is_not_cleared(two: Office, before: str) -> None:
    for operation in ("host-history.clear", "host-history.clearable"):
        with pytest.raises(InvalidInput) as caught:
            two.sysadm(operation, before=before)
        assert caught.value.field == "before"
    assert left(two) == 240


def test_a_shorter_retention_takes_a_few_old_rows_at_a_time(office: Office) -> None:
    host = office.host("h1")
    fill(office, host, DROPPED_AT_ONCE + 100, until=NOW - timedelta(days=40))
    load = Load(1.0, 2.0, 3.0, 4.0)
    database = office.services.database
    keep = NOW - timedelta(days=30)
    for expected in (100 + 1, 2):
        database.write(lambda s: hosts.add_sample(s, host, NOW, load, keep_since=keep))
        assert left(office) == expected
