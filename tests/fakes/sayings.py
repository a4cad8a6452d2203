"""What the cloud in memory says when it is asked for more than rows: plans in sentences, samples, histories."""

from __future__ import annotations

import time

from tests.fakes.world import GIB, MIB, Row


def drain_plan() -> list[Row]:
    """What would become of a host's VMs, in sentences."""
    reason = [
        {"message": "A disk of VM {name} is not on host {host}.", "parameters": {"name": "mail-1", "host": "server186"}}
    ]
    return [
        {
            "message": "VMs that can be migrated as they run ({count}): {names}.",
            "parameters": {"count": 12, "names": "web-1 → server186, web-2 → server186, 网站-1 → server186 …"},
        },
        {
            "message": "VMs that can move, if they are stopped ({count}): {names}.",
            "parameters": {"count": 1, "names": "shop-1 → server186"},
        },
        {
            "message": "VMs that cannot move and are stopped in any case ({count}): {names}.",
            "parameters": {"count": 1, "names": "mail-1"},
        },
        {"message": "{name}: {reason}", "parameters": {"name": "mail-1", "reason": reason}},
        {
            "message": "{name}: {reason}",
            "parameters": {
                "name": "shop-1",
                "reason": [{"message": "What it writes to its image is kept on its host.", "parameters": {}}],
            },
        },
    ]


def history(host: str, since: str, until: str, points: int) -> Row:
    """Thirty days of a host: busy by day, with a peak at noon, and nothing on one day."""
    import math
    from datetime import UTC, datetime

    begin, end = (datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp() for time in (since, until))
    last = datetime.fromisoformat("2026-11-24T13:03:30").replace(tzinfo=UTC).timestamp()
    first = last - 30 * 86400
    share = max(60.0, (end - begin) / points)
    rows = []
    at = begin + share / 2
    while at < end:
        if first <= at <= last and not last - 8 * 86400 < at < last - 7 * 86400:
            busy = 0.5 - 0.5 * math.cos(at % 86400 / 86400 * 2 * math.pi)
            row: Row = {"at": at, "count": max(1, round(share / 60))}
            for key, value, most in (
                ("cpu_percent", 10 + 60 * busy, 98 if busy > 0.97 else 75 * busy + 15),
                ("memory_percent", 55 + 10 * busy, 58 + 12 * busy),
                ("disk_percent", 60 + (at - first) / 86400 / 3, 60.5 + (at - first) / 86400 / 3),
                ("network_rate", 8 * busy * MIB, 20 * busy * MIB),
            ):
                row |= {key: value, f"{key}_low": value * 0.8, f"{key}_high": most}
            rows.append(row)
        at += share
    return {"samples": rows, "first": first, "last": last, "since": begin, "until": end}


def samples(count: int = 60, end: float | None = None) -> list[Row]:
    """Samples of the last five minutes, in waves."""
    import math

    end = time.time() if end is None else end
    return [
        {
            "at": end - 5 * (count - 1 - n),
            "cpu_percent": 45 + 40 * math.sin(n / 7),
            "memory_percent": 60 + n / 8,
            "disk_percent": 71.0,
            "network_rate": (6 + 5 * math.sin(n / 4)) * MIB,
            "memory": 1.5 * GIB + n * 3 * MIB,
            "read_rate": max(0.0, 3 * math.sin(n / 3)) * MIB,
            "write_rate": max(0.0, 2 * math.cos(n / 5)) * MIB,
            "receive_rate": (1.2 + math.sin(n / 6)) * MIB,
            "send_rate": 0.3 * MIB,
        }
        for n in range(count)
    ]
