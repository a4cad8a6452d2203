"""When a run ended, by libvirt's log of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from hostd.qemu_log import ended_at

START = datetime(2026, 11, 25, 13, 9, 15, 123000)  # noqa: DTZ001  (naive UTC, as the database keeps it)
STARTING = "2026-11-25 13:09:15.123+0000: starting up libvirt version: 9.0.0, package: 9.0.0-4, qemu version: 7.2.9\n"
REST = "LC_ALL=C \\\n/usr/bin/qemu-system-x86_64 \\\n-name guest=dosvm\nchar device redirected to /dev/pts/1\n"


def log(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "dosvm.log"
    path.write_text("".join(lines))
    return path


def test_libvirt_says_when_it_was_switched_off(tmp_path: Path) -> None:
    path = log(tmp_path, STARTING, REST, "2026-11-25 14:00:00.500+0000: shutting down, reason=destroyed\n")
    assert ended_at(path, START) == datetime(2026, 11, 25, 14, 0, 0, 500000)  # noqa: DTZ001


def test_a_signal_counts_rather_than_what_follows_it(tmp_path: Path) -> None:
    path = log(
        tmp_path, STARTING, REST,
        "2026-11-25T13:59:59.250000Z qemu-system-x86_64: terminating on signal 15 from pid 1 (systemd)\n",
        "2026-11-25 14:00:03.000+0000: shutting down, reason=shutdown\n",
    )  # fmt: skip
    assert ended_at(path, START) == datetime(2026, 11, 25, 13, 59, 59, 250000)  # noqa: DTZ001


def test_of_many_runs_it_is_the_one_that_began_then(tmp_path: Path) -> None:
    path = log(
        tmp_path,
        "2026-11-25 11:00:00.000+0000: starting up libvirt version: 9.0.0\n",
        "2026-11-25 12:00:00.000+0000: shutting down, reason=shutdown\n",
        STARTING,
        "2026-11-25 14:00:00.000+0000: shutting down, reason=shutdown\n",
        "2026-11-25 15:00:00.000+0000: starting up libvirt version: 9.0.0\n",
        "2026-11-25 16:00:00.000+0000: shutting down, reason=shutdown\n",
    )
    assert ended_at(path, START) == datetime(2026, 11, 25, 14)  # noqa: DTZ001
    assert ended_at(path, datetime(2026, 11, 25, 11)) == datetime(2026, 11, 25, 12)  # noqa: DTZ001


def test_a_run_whose_end_is_not_there_has_none(tmp_path: Path) -> None:
    assert ended_at(log(tmp_path, STARTING, REST), START) is None
    assert ended_at(log(tmp_path, STARTING, STARTING.replace("13:09", "14:09")), START) is None
    assert ended_at(tmp_path / "no-such-log", START) is None


def test_a_libvirtd_that_finds_it_dead_comes_too_late(tmp_path: Path) -> None:
    path = log(tmp_path, STARTING, "2026-11-25 14:00:01.000+0000: shutting down, reason=crashed\n")
    late = datetime(2026, 11, 25, 14)  # noqa: DTZ001
    assert ended_at(path, START, libvirtd=late) is None
    assert ended_at(path, START, libvirtd=late - timedelta(hours=1)) == late + timedelta(seconds=1)
