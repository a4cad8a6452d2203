"""Storage that does not answer: it is said in time, and nothing else waits for it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core.clock import SystemClock
from core.coordination.storage import PoolState, load_pool, record_pool
from core.errors import EngineError, Refused
from core.security.sealed import SealedSecret
from core.specs.pool import PoolOrder
from hostd import intervals, iscsi, netfs, places, shared
from hostd.bus import Bus
from hostd.hypervisor.errors import Busy, Stuck, TooSlow
from hostd.pools import Keeper
from tests.fakes import rack
from tests.fakes.office import GIB, Office


@pytest.fixture
def keeper(office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keeper:
    """The keeper of host h1, whose libvirt does what it is told."""
    rack.web(office)
    monkeypatch.setattr("hostd.pools.let_pass", lambda *_a: [])
    pools: Any = SimpleNamespace(ensure=lambda *_a, **_k: None, release=lambda _uuid: None, is_active=lambda _u: True)
    secrets: Any = SimpleNamespace()
    host = rack.host_id(office, "h1")
    return Keeper(
        office.services.database,
        SystemClock(),
        lambda: host,
        pools,
        secrets,
        Bus(),
        tmp_path,
        rack.ELSEWHERE,
        lambda: None,
    )


@pytest.fixture
def hangs(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Looking at the directory of ``silent`` waits until the event is set."""
    answered = threading.Event()
    monkeypatch.setattr(intervals, "STORAGE", 0.3)

    def check(pool: PoolOrder, **_more: Any) -> None:
        if pool.name == "silent":
            answered.wait(30)

    monkeypatch.setattr(shared, "check", check)
    yield answered
    answered.set()


def test_a_pool_that_hangs_says_so_and_others_do_not_wait(
    office: Office, keeper: Keeper, hangs: threading.Event, tmp_path: Path
) -> None:
    orders = {}
    for name in ("silent", "other"):
        (tmp_path / name).mkdir()
        office.sysadm("pool.add", name=name, type="dos", path=str(tmp_path / name), capacity=GIB)
        uuid = office.sysadm("pool.show", pool=name)["uuid"]
        orders[name] = office.services.database.read(lambda s, uuid=uuid: load_pool(s, uuid))  # type: ignore[misc]
    rack.settle(office)
    silent, other = orders["silent"], orders["other"]
    assert silent is not None
    assert other is not None
    for _ in range(2):
        begin = time.monotonic()
        with pytest.raises(EngineError, match="does not answer"):
            keeper.ready(silent)
        assert time.monotonic() - begin < 10
        keeper.ready(other)
    assert office.sysadm("pool.show", pool="silent")["state"] == "failed"
    assert office.sysadm("pool.show", pool="other")["state"] == "active"
    hangs.set()
    give_up = time.monotonic() + 10
    while True:
        try:
            keeper.ready(silent)
            break
        except EngineError:
            assert time.monotonic() < give_up
            time.sleep(0.05)
    assert office.sysadm("pool.show", pool="silent")["state"] == "active"


def test_what_hangs_is_held_against_its_pool_only(keeper: Keeper) -> None:
    never = threading.Event()
    with pytest.raises(TooSlow, match="The storage did not answer"):
        keeper.touch("silent", lambda: never.wait(30), limit=0.1)
    with pytest.raises(Stuck, match="The storage does not answer"):
        keeper.touch("silent", lambda: True)
    assert keeper.touch("other", lambda: True)
    never.set()


def test_many_requests_that_hang_in_one_pool_hold_up_no_other(keeper: Keeper) -> None:
    answered, began = threading.Event(), time.monotonic()

    def ask() -> None:
        with pytest.raises((TooSlow, Stuck)):
            keeper.touch("silent", lambda: answered.wait(30), limit=5)

    waiting = [threading.Thread(target=ask) for _ in range(12)]
    for thread in waiting:
        thread.start()
    time.sleep(0.2)
    assert keeper.touch("other", lambda: "here", limit=2) == "here"
    assert time.monotonic() - began < 4, "it waited for those that hang"
    for thread in waiting:
        thread.join(20)
    answered.set()


def test_a_pool_that_cannot_be_let_go_of_keeps_its_mark(
    office: Office, keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "shared"
    place.mkdir()
    office.sysadm("pool.add", name="shared", type="dos", path=str(place), capacity=GIB)
    uuid = office.sysadm("pool.show", pool="shared")["uuid"]
    pool = office.services.database.read(lambda s: load_pool(s, uuid))
    assert pool is not None
    shared.check_mark(pool, mark=True)

    def refuses(_uuid: str) -> None:
        raise EngineError("It is busy.")

    monkeypatch.setattr(keeper._pools, "release", refuses)
    with pytest.raises(EngineError, match="busy"):
        keeper.release(uuid, pool=pool, stays=True)
    shared.check_mark(pool, mark=False)
    with pytest.raises(EngineError, match="busy"):
        keeper.release(uuid, pool=pool)
    assert list(place.iterdir()) == [], "nobody remains whose mark it could be"


@pytest.mark.parametrize("way", ["link", "below a link", "mount"])
def test_a_directory_that_is_another_pools_by_a_link_or_a_mount_is_refused(
    office: Office, keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    real, other = tmp_path / "real", tmp_path / "other"
    (real / "below").mkdir(parents=True)
    if way == "mount":
        # What a bind mount shows has the device and number of what is mounted.
        other.mkdir()
        place_of, shown = places.place_of, places.place_of(str(real))
        seen = shown._replace(path=str(other))
        monkeypatch.setattr(places, "place_of", lambda path: seen if path == str(other) else place_of(path))
    else:
        other.symlink_to(real)
    orders = {}
    paths = {"first": real, "second": other / "below" if way == "below a link" else other, "third": tmp_path / "third"}
    for name, path in paths.items():
        office.sysadm("pool.add", name=name, type="dir", host="h1", path=str(path), capacity=GIB)
        uuid = office.sysadm("pool.show", pool=name)["uuid"]
        order = office.services.database.read(lambda s, uuid=uuid: load_pool(s, uuid))  # type: ignore[misc]
        assert order is not None
        orders[name] = order
    paths["third"].mkdir()
    with pytest.raises(Refused, match="overlaps with the directory of storage pool first"):
        keeper.ready(orders["second"], first=True)
    keeper.ready(orders["first"], first=True)
    keeper.ready(orders["third"], first=True)


@pytest.mark.parametrize("place", ["link", "link/inside", "."])
def test_temporary_files_are_not_kept_in_a_pool_that_only_the_host_sees_them_in(
    office: Office, keeper: Keeper, tmp_path: Path, place: str
) -> None:
    (tmp_path / "pool").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "pool")
    office.sysadm("pool.add", name="first", type="dir", host="h1", path=str(tmp_path / "pool"), capacity=GIB)
    with pytest.raises(Refused, match="overlaps with the directory of storage pool first"):
        keeper.refuse_temporary(tmp_path / place)
    keeper.refuse_temporary(tmp_path / "beside")


def test_a_new_pool_is_not_made_over_temporary_files(
    office: Office, keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where only the host knows where they are: by its own settings, or by a link."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(keeper, "_temporary", lambda: places.place_of(str(tmp_path / "tmp")))
    (tmp_path / "link").symlink_to(tmp_path)
    office.sysadm("pool.add", name="first", type="dir", host="h1", path=str(tmp_path / "link"), capacity=GIB)
    order = order_of(office, "first")
    with pytest.raises(Refused, match="where this host keeps temporary files of VMs"):
        keeper.ready(order, first=True)


def order_of(office: Office, name: str) -> PoolOrder:
    uuid = office.sysadm("pool.show", pool=name)["uuid"]
    order = office.services.database.read(lambda s: load_pool(s, uuid))
    assert order is not None
    return order


def test_a_directory_with_the_mark_of_another_pool_is_refused(office: Office, keeper: Keeper, tmp_path: Path) -> None:
    place = tmp_path / "marked"
    place.mkdir()
    (place / shared.MARK).write_text("0b6ff1f0-6a54-4fd5-9c39-4ee9a3f3a111\n")
    office.sysadm("pool.add", name="marked", type="dir", host="h1", path=str(place), capacity=GIB)
    uuid = office.sysadm("pool.show", pool="marked")["uuid"]
    order = office.services.database.read(lambda s: load_pool(s, uuid))
    assert order is not None
    with pytest.raises(Refused, match="belongs to another storage pool"):
        keeper.ready(order, first=True)


def test_how_a_pool_is_here_is_said_again_and_again(office: Office) -> None:
    rack.web(office)
    host, pool = rack.host_id(office, "h1"), office.sysadm("pool.show", pool="local")
    order = office.services.database.read(lambda s: load_pool(s, pool["uuid"]))
    assert order is not None
    now = SystemClock().now()

    def say(error: str, pool_id: int = order.id) -> bool:
        return office.services.database.write(lambda s: record_pool(s, pool_id, host, PoolState(error=error), now))

    assert [say("away"), say("away"), say("")] == [True, False, True]
    assert not say("", 10**6), "it has been deleted"


def _server(pool_format: str, port: int) -> PoolOrder:
    return PoolOrder(
        1, "u" * 36, "nas", "netfs", "/srv/nas", format=pool_format, server="127.0.0.1", port=port, source="/x"
    )


def test_a_server_that_takes_up_nothing_is_told_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as full:
        port = full.getsockname()[1]
        assert netfs.reached(_server("nfs", port)).format == "nfs"
        assert netfs.reached(_server("auto", port)).format == "nfs"
    with pytest.raises(EngineError, match=r"127\.0\.0\.1 of storage pool nas does not answer: Connection refused"):
        netfs.reached(_server("nfs", port))


_MOUNT = "internal error: Child process (/usr/bin/mount -o x s:/x /srv/x) unexpected exit status 32: {}"
_ISCSI = "internal error: Child process (/usr/bin/iscsiadm --mode node) unexpected exit status 24: {}"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (_MOUNT.format("mount.nfs: access denied by server while mounting s:/x"), "refuses this host"),
        (_MOUNT.format("mount error(2): No such file or directory"), "no such share"),
        (_ISCSI.format("iscsiadm: login I/O error, failed due to authorization failure"), "CHAP"),
    ],
)
def test_what_programs_say_is_told_in_plain_words(said: str, meant: str) -> None:
    error = netfs.explained(_server("nfs", 0), EngineError("libvirt: {reason}.", reason=said))
    assert meant in error.text()
    assert "/usr/bin" not in error.text()


def test_words_that_nobody_knows_are_passed_on() -> None:
    error = EngineError("libvirt: {reason}.", reason="the moon is full")
    assert netfs.explained(_server("nfs", 0), error) is error


def test_a_password_is_in_a_file_of_roots_for_a_moment_only(tmp_path: Path) -> None:
    pool = PoolOrder(1, "u" * 36, "nas", "netfs", "/srv/nas", format="cifs", server="s", source="x", account="zhao")
    with netfs.options(pool, "Sh4re-secret", tmp_path) as words:
        (file,) = [Path(word.partition("=")[2]) for word in words if word.startswith("credentials=")]
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.read_text() == "username=zhao\npassword=Sh4re-secret\n"
        assert "Sh4re-secret" not in str(words)
    assert not file.exists()


def test_a_disk_is_looked_at_when_it_becomes_a_pool_and_never_written_to(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later on a guest may have made a volume group on its partition: that is no reason to refuse the others."""
    told: list[Any] = []
    monkeypatch.setattr(keeper._pools, "ensure", lambda *_a, build: told.append(build))
    monkeypatch.setattr(keeper._pools, "space", lambda _uuid: SimpleNamespace(capacity=9, available=1), raising=False)
    monkeypatch.setattr("hostd.blocks.check_disk", lambda pool: told.append(pool.source))
    disk = PoolOrder(1, "0" * 36, "parts", "disk", "/dev", format="gpt", source="/dev/sdb")
    keeper.ready(disk, first=True)
    keeper.ready(disk)
    assert told == ["/dev/sdb", False, False], "libvirt is never asked to make a table of partitions"
    told.clear()
    keeper.ready(PoolOrder(1, "1" * 36, "vg0", "logical", "/dev/vg0", format="lvm2"), first=True)
    assert told == [False], "nor a volume group"


def test_another_disk_of_the_name_is_not_taken_for_the_pools(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel numbers disks as they come: after a reboot another one may be /dev/sdb."""
    monkeypatch.setattr(keeper._pools, "ensure", lambda *_a, build: None)
    monkeypatch.setattr(keeper._pools, "space", lambda _uuid: SimpleNamespace(capacity=9, available=1), raising=False)
    monkeypatch.setattr("hostd.blocks.check_disk", lambda _pool: None)
    serial = "WD-1"
    monkeypatch.setattr("hostd.blocks.key_of", lambda _path: serial)
    disk = PoolOrder(1, "0" * 36, "parts", "disk", "/dev", format="gpt", source="/dev/sdb")
    keeper.ready(disk, first=True)
    keeper.ready(disk)
    serial = "WD-2"
    with pytest.raises(Refused, match="another disk than before: WD-2 instead of WD-1"):
        keeper.ready(disk)


def test_a_target_is_logged_in_at_before_libvirt_looks_for_it(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whether its server answers is asked each time: libvirtd would hold whoever looks at one that does not."""
    told: list[str] = []
    key = SealedSecret("s" * 36, "chap", "iscsi", "sealed")
    monkeypatch.setattr(keeper._secrets, "open", lambda secret: f"value of {secret.name}", raising=False)
    monkeypatch.setattr(iscsi, "session_state", lambda _target: "LOGGED_IN" if "ensure" in told else "")
    monkeypatch.setattr(iscsi, "log_in", lambda pool, password: told.append(f"{pool.account}: {password}"))
    monkeypatch.setattr(iscsi, "forget", lambda pool: told.append(f"forget {pool.source} of {pool.server}:{pool.port}"))
    monkeypatch.setattr(keeper._pools, "is_active", lambda _uuid: "ensure" in told)
    monkeypatch.setattr(keeper._pools, "ensure", lambda *_a, build: told.append("ensure"))
    monkeypatch.setattr(keeper._pools, "space", lambda _uuid: SimpleNamespace(capacity=9, available=0), raising=False)
    monkeypatch.setattr(netfs, "answers", lambda server, port: told.append(f"{server}:{port}") or "")
    san = PoolOrder(
        1, "2" * 36, "san", "iscsi", "/dev/disk/by-path", server="nas", port=3260, source="t", account="qgh", secret=key
    )
    keeper.ready(san)
    assert told == ["nas:3260", "qgh: value of chap", "ensure"]
    keeper.ready(san)
    assert told[3:] == ["nas:3260"]
    # Who only knows that it is gone forgets the password as well.
    keeper.release(san.uuid)
    assert told[4:] == ["forget t of nas:3260"]


def test_the_password_of_a_target_is_in_a_file_that_root_alone_reads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """open-iscsi writes a record as a file, or as one for each interface; its program here notes what it is told."""
    program = tmp_path / "bin/iscsiadm"
    program.parent.mkdir()
    said = tmp_path / "said"
    program.write_text(f'#!/bin/sh\necho "$@" >>{said}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    records = tmp_path / "nodes"
    record = records / "iqn.t/10.0.0.1,3260,1/default"
    record.parent.mkdir(parents=True)
    lines = ["node.name = iqn.t", "node.session.auth.username = old", "node.startup = manual", "# END RECORD"]
    record.write_text("\n".join(lines) + "\n")
    other = records / "iqn.t/10.0.0.2,3260"
    other.write_text("# END RECORD\n")
    san = PoolOrder(
        1, "2" * 36, "san", "iscsi", "/dev/disk/by-path", server="10.0.0.1", port=3260, source="iqn.t", account="alice"
    )
    iscsi.log_in(san, "s3cret", (tmp_path / "nowhere", records))
    assert record.read_text().splitlines() == [
        "node.name = iqn.t", "node.startup = manual", "node.session.auth.authmethod = CHAP",
        "node.session.auth.username = alice", "node.session.auth.password = s3cret", "# END RECORD",
    ]  # fmt: skip
    assert record.stat().st_mode & 0o777 == 0o600
    assert other.read_text() == "# END RECORD\n"
    assert [line.rsplit(" ", 1)[-1] for line in said.read_text().splitlines()] == ["new", "--login"]
    assert "s3cret" not in said.read_text()
    with pytest.raises(EngineError, match="target iqn"):
        iscsi.log_in(replace(san, source="iqn.none"), "s3cret", (records,))


def _pool(office: Office, place: Path) -> PoolOrder:
    place.mkdir()
    office.sysadm("pool.add", name=place.name, type="dos", path=str(place), capacity=GIB)
    uuid = office.sysadm("pool.show", pool=place.name)["uuid"]
    order = office.services.database.read(lambda s: load_pool(s, uuid))
    assert order is not None
    return order


def test_a_hundred_vms_do_not_ask_a_silent_server_one_after_the_other(
    office: Office, keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, asked, told = _pool(office, tmp_path / "away"), [], []

    def check(pool: PoolOrder, **_more: Any) -> None:
        asked.append(pool.name)
        time.sleep(1.2)
        raise EngineError("The server of {name} does not answer.", name=pool.name)

    monkeypatch.setattr(shared, "check", check)

    def start() -> None:
        for _ in range(10):
            try:
                keeper.ready_all({order.uuid})
            except EngineError as error:
                told.append(error.text())

    begin = time.monotonic()
    starts = [threading.Thread(target=start) for _ in range(10)]
    for thread in starts:
        thread.start()
    for thread in starts:
        thread.join(30)
    assert time.monotonic() - begin < 10
    assert len(asked) <= 3
    assert told == ["The server of away does not answer."] * 100
    assert "does not answer" in str(office.sysadm("pool.show", pool="away"))
    monkeypatch.setattr(shared, "check", lambda *_a, **_k: None)
    keeper.ready(order)
    keeper.ready_all({order.uuid})


def test_who_has_just_mended_a_pool_is_not_told_what_was_wrong(
    office: Office, keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = _pool(office, tmp_path / "unmounted")

    def check(*_a: Any, **_k: Any) -> None:
        raise Refused("It is not mounted.")

    with monkeypatch.context() as patch:
        patch.setattr(shared, "check", check)
        with pytest.raises(Refused):
            keeper.ready_all({order.uuid})
    monkeypatch.setattr(shared, "check", lambda *_a, **_k: None)
    keeper.ready_all({order.uuid})


def test_many_requests_are_nothing_that_is_wrong_with_a_pool(
    office: Office, keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = _pool(office, tmp_path / "busy")

    def full(*_a: Any, **_k: Any) -> None:
        raise Busy("Nothing was free.")

    monkeypatch.setattr(shared, "check", lambda *_a, **_k: None)
    keeper.ready(order)
    with monkeypatch.context() as patch:
        patch.setattr(keeper._files, "touch", full)
        with pytest.raises(Busy):
            keeper.ready(order)
    assert "Nothing was free" not in str(office.sysadm("pool.show", pool="busy"))
    monkeypatch.setattr(intervals, "STORAGE_TURN", 0.1)
    with keeper._lock(order.uuid), pytest.raises(Busy):
        keeper.ready(order)


MOUNTS = """\
21 1 8:1 / / rw - ext4 /dev/sda1 rw
22 21 8:2 / /srv/disk rw - xfs /dev/sdb rw
23 21 8:1 /srv/a/deep /mnt/deep rw - ext4 /dev/sda1 rw
24 21 8:2 /vol /mnt/vol rw - xfs /dev/sdb rw
"""


@pytest.mark.parametrize(
    ("mine", "theirs", "one"),
    [
        ("/mnt/deep", "/srv/a", True),
        ("/mnt/deep/not/yet", "/srv/a", True),
        ("/mnt/deep", "/srv/a/other", False),
        ("/mnt/vol/b", "/srv/disk/vol", True),
        ("/mnt/vol/b", "/srv/disk/volume", False),
        ("/mnt/vol", "/vol", False),
        ("/srv/a", "/srv/b", False),
    ],
)
def test_directories_that_a_bind_mount_makes_one_are_told_even_before_they_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mine: str, theirs: str, one: bool
) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTS)
    monkeypatch.setattr(shared, "_MOUNTS", tmp_path / "mountinfo")

    def look() -> None:
        places.refuse_one(mine, places.place_of(mine), "theirs", places.place_of(theirs), what="pool")

    if one:
        with pytest.raises(Refused, match="overlaps"):
            look()
    else:
        look()


def test_a_directory_that_will_be_behind_a_link_is_refused_before_it_is_made(
    office: Office, keeper: Keeper, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    orders = []
    for name, path in (("first", tmp_path / "a"), ("second", tmp_path / "link" / "b")):
        office.sysadm("pool.add", name=name, type="dir", host="h1", path=str(path), capacity=GIB)
        uuid = office.sysadm("pool.show", pool=name)["uuid"]
        order = office.services.database.read(lambda s, uuid=uuid: load_pool(s, uuid))  # type: ignore[misc]
        assert order is not None
        orders.append(order)
    keeper.ready(orders[0], first=True)
    with pytest.raises(Refused, match="overlaps with the directory of storage pool first"):
        keeper.ready(orders[1], first=True)
