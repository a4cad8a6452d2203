"""I1 to I3: how soon the console shows something, how fast it follows a key, and what it costs."""

from __future__ import annotations

import collections
import re
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

import pyte
import pytest
from sqlalchemy import delete, insert
from sqlalchemy.orm import Session

from core.database import Database
from core.model import Machine, new_uuid
from tests.bench.figures import Figures, percentile
from tests.bench.recorder import Piece, Recorder
from tests.bench.vms import cpu_seconds
from tests.lab.cloud import ZHAO, Cloud
from tests.lab.host import DOSVM, REPOSITORY
from tests.lab.lab import Lab

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]

DOWN, PAGE_DOWN = b"\x1b[B", b"\x1b[6~"
KEYS = 100
REPEATS = 7
STOCK = [sys.executable, "-m", "tests.bench.stock_table"]
CONSOLE = [sys.executable, "-m", "tests.bench.logged_in"]


class Crowd:
    """A cloud with as many VMs as one likes, and the daemon that shows them."""

    def __init__(self, cloud: Cloud) -> None:
        self._host = cloud.lab[0]
        self._host.kill_hostd(signal.SIGTERM)
        self._database = Database(cloud.lab.database_url)
        self._ids = cloud.lab.rows("SELECT instance.project_id, instance.id, host.id FROM instance, host")[0]

    @property
    def environment(self) -> dict[str, str]:
        """What a console of zhao finds."""
        python = {"PYTHONPATH": str(REPOSITORY), "COLORTERM": "truecolor"}
        return self._host.environment({"DOSVM_ACCOUNT": ZHAO[0], "DOSVM_PASSWORD": ZHAO[1], **python})

    def show(self, count: int, *, changes: bool) -> None:
        """Have so many VMs, named vm-00000 and so on, and a daemon; with ``changes``, a thousand of them a second."""
        self.end()
        project, instance, host = self._ids
        rows = [
            {
                "uuid": new_uuid(), "name": f"vm-{number:05}", "project_id": project, "instance_id": instance,
                "host_id": host, "power": "on", "state": "running", "accelerator": "tcg", "vnc_port": 5900,
                "screen_address": "127.0.0.1", "start_error": "",
            }
            for number in range(count)
        ]  # fmt: skip

        def write(session: Session) -> None:
            session.execute(delete(Machine))
            session.execute(insert(Machine), rows)

        self._database.write(write)
        extra = {"PYTHONPATH": str(REPOSITORY), **({"CROWD_CHANGES": "1"} if changes else {})}
        self._host.hostd = self._host.world.spawn(
            [sys.executable, "-m", "tests.bench.crowd"], self._host.environment(extra), self._host.root / "hostd.log"
        )
        self._host.wait_for_hostd()
        # The first login costs a password's hashing; those after it do not.
        first = self.console()
        first.wait_for("vm-00000")
        first.close()

    def console(self) -> Recorder:
        """The console of somebody who has just logged in."""
        return Recorder(CONSOLE, self.environment)

    def end(self) -> None:
        """End the daemon."""
        if self._host.hostd is not None:
            self._host.kill_hostd(signal.SIGTERM)


@pytest.fixture(scope="module")
def crowd() -> Iterator[Crowd]:
    """See :class:`Crowd`."""
    lab = Lab(hosts=1)
    made = Crowd(Cloud(lab))
    yield made
    made.end()
    lab.close()


def _stock(rows: int, changes: int, environment: Mapping[str, str]) -> Recorder:
    return Recorder([*STOCK, str(rows), str(changes)], environment)


def _paint(opened: Recorder, text: str) -> float:
    """Milliseconds from the start until text was written."""
    try:
        return (opened.wait_for(text, 120) - opened.begin) * 1000
    finally:
        opened.close()


# The goals were set on a machine where the peer took 334, 1423 and 7809 ms; elsewhere their ratio tells.
@pytest.mark.parametrize(
    ("count", "goal", "ratio"), [(1_000, 250, 250 / 334), (10_000, 300, 300 / 1423), (50_000, 400, 400 / 7809)]
)
def test_the_first_rows(crowd: Crowd, figures: Figures, count: int, goal: int, ratio: float) -> None:
    crowd.show(count, changes=False)
    ours = [_paint(crowd.console(), "vm-00000") for _ in range(REPEATS)]
    peer = [_paint(_stock(count, 0, crowd.environment), "vm-00000") for _ in range(3)]
    figures.add(
        "I1", f"first rows of {count} VMs, p50", percentile(ours, 50), "ms", peer=percentile(peer, 50),
        peer_is="stock DataTable", wanted=f"{goal} ms, or {ratio:.2f} of the peer", raw={"ours": ours, "peer": peer},
    )  # fmt: skip


def test_the_login(crowd: Crowd, figures: Figures) -> None:
    crowd.show(10, changes=False)
    # In turns with the peer: a machine that is busy now is as busy for both.
    ours, peer = [], []
    for _ in range(REPEATS):
        ours.append(_paint(Recorder([str(DOSVM)], crowd.environment), "Password"))
        peer.append(_paint(_stock(1_000, 0, crowd.environment), "vm-00000"))
    figures.add(
        "I1", "`dosvm` to its login, p50", percentile(ours, 50), "ms", peer=percentile(peer, 50),
        peer_is="stock DataTable of 1000", wanted="250 ms, or 0.75 of the peer", raw={"ours": ours, "peer": peer},
    )  # fmt: skip


def test_keys_while_a_thousand_vms_change_every_second(crowd: Crowd, figures: Figures) -> None:
    crowd.show(10_000, changes=True)
    ours = crowd.console()
    stock = _stock(10_000, 1000, crowd.environment)
    ours.wait_for("vm-00000")
    stock.wait_for("vm-00000")
    for name, key, pause, middle, goal in (
        ("arrow key", DOWN, 0.15, 95, "p95 12 ms, or 0.67 of the peer"),
        ("PageDown", PAGE_DOWN, 0.4, 95, "p95 33 ms, or 0.18 of the peer"),
    ):
        stock.pause()
        mine = _follow(ours, key, pause)
        ours.pause()
        stock.go_on()
        peer = _follow(stock, key, pause)
        ours.go_on()
        for percent in (50, middle, 99.9):
            figures.add(
                "I2", f"{name} to cursor seen, p{percent:g}", percentile(mine, percent), "ms",
                peer=percentile(peer, percent), peer_is="stock DataTable", wanted=goal if percent == middle else "",
                raw={"ours": mine, "peer": peer} if percent == 50 else None,
            )  # fmt: skip
    figures.add(
        "I3",
        "memory with 10000 VMs",
        ours.resident_mib,
        "MiB",
        peer=stock.resident_mib,
        peer_is="stock",
        wanted="90 MiB",
    )
    ours.close()
    stock.close()


def test_bytes_and_rest(crowd: Crowd, figures: Figures) -> None:
    crowd.show(10_000, changes=False)
    ours, stock = crowd.console(), _stock(10_000, 0, crowd.environment)
    sizes = []
    for opened in (ours, stock):
        opened.wait_for("vm-00000")
        opened.quiet(1.0)
        sizes.append(percentile(_sizes(opened, DOWN), 50))
    figures.add("I3", "bytes of an arrow key, p50", sizes[0], "B", peer=sizes[1], peer_is="stock", wanted="1000 B")
    before = cpu_seconds([ours.pid])
    time.sleep(20)
    figures.add("I3", "idle console", (cpu_seconds([ours.pid]) - before) / 20 * 100, "% of a core", wanted="0.5 %")
    for what, keys in (("one key", b"9"), ("nine keys at once", b"vm-09876")):
        took = [_filtered(ours, b"/" + keys, found) for found in [b"vm-00009" if keys == b"9" else keys] * REPEATS]
        figures.add(
            "I3", f"filter 10000 VMs by name, {what}, p50", percentile(took, 50), "ms", wanted="50 ms", raw=took
        )
    ours.close()
    stock.close()


def _filtered(opened: Recorder, keys: bytes, found: bytes) -> float:
    """Search, and take the search away; milliseconds from the keys until the first row that fits was seen."""
    wanted = re.compile(rf"▸ *{found.decode()}")
    begin = opened.press(keys)
    time.sleep(2)
    seen: list[float] = []

    def look(screen: pyte.Screen, piece: Piece) -> None:
        if piece.at > begin and not seen and any(wanted.search(line) for line in screen.display):
            seen.append((piece.at - begin) * 1000)

    opened.replay(look)
    assert seen, f"{keys!r} finds nothing"
    opened.press(b"\x1b")
    opened.quiet(1.0)
    opened.replay(lambda _screen, _piece: None)
    return seen[0]


def _follow(opened: Recorder, key: bytes, pause: float) -> list[float]:
    """Press a key again and again; the milliseconds until the cursor was seen to have moved, for each."""
    time.sleep(2)
    pressed = []
    for _ in range(KEYS):
        pressed.append(opened.press(key))
        time.sleep(pause)
    time.sleep(2)
    moves: list[tuple[float, str]] = []

    def look(screen: pyte.Screen, piece: Piece) -> None:
        name = _under_cursor(screen)
        if name and (not moves or moves[-1][1] != name):
            moves.append((piece.at, name))

    opened.replay(look)
    took = []
    for begin in pressed:
        # One that is slower than the keys come may show several moves at once.
        first = next((at for at, _name in moves if at > begin), None)
        assert first is not None, "a key moved nothing"
        took.append((first - begin) * 1000)
    return took


def _sizes(opened: Recorder, key: bytes) -> list[float]:
    sizes = []
    for _ in range(50):
        before = sum(len(piece.data) for piece in opened.pieces)
        opened.press(key)
        time.sleep(0.6)
        sizes.append(float(sum(len(piece.data) for piece in opened.pieces) - before))
    return sizes


_NAME = re.compile(r"vm-\d{5}")


def _under_cursor(screen: pyte.Screen) -> str:
    """The name in the row under the cursor: the marked one, or the one on another ground than the others."""
    rows: Sequence[tuple[int, str]] = [
        (y, match[0]) for y, line in enumerate(screen.display) if (match := _NAME.search(line))
    ]
    for y, name in rows:
        if "▸" in screen.display[y]:
            return name
    grounds = {y: screen.buffer[y][4].bg for y, _name in rows}
    # Zebra stripes take two grounds at most; the cursor's is the one that is seen once.
    seen = collections.Counter(grounds.values())
    odd = [name for y, name in rows if seen[grounds[y]] == 1]
    return odd[0] if len(odd) == 1 and len(rows) > 2 else ""
