"""Refreshing a pool: what is asked for, who may, and what becomes of what was found."""

from __future__ import annotations

import os
import struct
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import event, select, update

from core import image_files
from core.clock import SystemClock
from core.coordination import discovery, tasks
from core.errors import InUse, InvalidInput, NotFound, QuotaExceeded, Refused, from_wire, sentence
from core.model import Pool, TaskState, Volume
from core.security.sealed import SealedSecret
from hostd import image_headers
from hostd.handlers import refresh
from hostd.handling import Context
from hostd.volume_heads import Wanted, look
from tests.fakes import rack
from tests.fakes.office import GIB, Office, Person
from tests.waiting import until

MIB = 1024**2


@pytest.fixture
def web(office: Office, tmp_path: Path) -> Person:
    """The admin of a project whose pool is a directory here."""
    admin = rack.web(office)
    place = tmp_path / "pool"
    place.mkdir()
    office.services.database.write(lambda s: s.execute(update(Pool).values(path=str(place))))
    return admin


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """That directory."""
    return tmp_path / "pool"


def run(office: Office) -> str:
    """What the executor does with the tasks of h1, once; how the last one ended."""
    database = office.services.database
    keeper: Any = SimpleNamespace(ready=lambda _pool: None, touch=lambda _pool, work, limit: work(), own=rack.ELSEWHERE)
    units: Any = SimpleNamespace(found=lambda _pool: [])

    def opened(secret: SealedSecret) -> str:
        return secret.open(office.services.vault)

    state = ""
    for task in rack.carry_out(office, refresh.handlers(database, keeper, units, opened, SystemClock().now)):
        state = office.sysadm("task.show", task=task.uuid)["state"]
    return state


def refreshed(office: Office, person: Person) -> dict[str, str]:
    """Refresh the pool; the state of each volume."""
    person("pool.refresh", pool="local")
    assert run(office) == TaskState.DONE.value
    return {row["name"]: row["state"] for row in person("volume.list", limit=1000)["rows"]}


def found(office: Office) -> dict[str, int]:
    """What the newest refresh says that it found."""
    row = office.sysadm("task.list", filters={"kind": "pool.refresh"}, sort="created", descending=True)["rows"][0]
    assert "New: " in sentence(row["outcome"])
    counts: dict[str, int] = row["outcome"]["parameters"]
    return {key: count for key, count in counts.items() if key != "which"}


def told(office: Office) -> str:
    """That, as people read it."""
    row = office.sysadm("task.list", filters={"kind": "pool.refresh"}, sort="created", descending=True)["rows"][0]
    return sentence(row["outcome"])


def qcow2(path: Path, capacity: int = GIB, backing: int = 0, features: int = 0) -> None:
    """A header that looks like a qcow2."""
    head = b"QFI\xfb" + struct.pack(">IQIIQI", 3, backing, 8 if backing else 0, 16, capacity, 0)
    path.write_bytes(head.ljust(72, b"\0") + struct.pack(">Q", features).ljust(440, b"\0"))


def img(*paths: Path) -> None:
    """True images in place of what only looks like one."""
    for path in paths:
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), str(GIB)], check=True)


def test_what_others_put_there_is_found_and_nobodys_to_use_before_its_format_is_said(
    office: Office, web: Person, place: Path
) -> None:
    (place / "plain").write_bytes(b"\0" * MIB)
    qcow2(place / "DOS")
    (place / "link").symlink_to("/etc/shadow")
    (place / "below").mkdir()
    (place / ".hidden").touch()
    assert refreshed(office, web) == {"DOS": "foreign", "plain": "foreign"}
    assert found(office) == {"new": 2, "gone": 0, "back": 0, "strange": 2}
    assert told(office).endswith("no volumes: 2 (below: no plain file; link: no plain file).")
    uuid = office.sysadm("pool.show", pool="local")["uuid"]
    row = web("volume.show", volume="local/DOS")
    assert (row["display_name"], row["format"], row["capacity"]) == (f"DOS-{uuid}", "qcow2", GIB)
    assert web("volume.show", volume="local/plain")["capacity"] == MIB
    with pytest.raises(Refused):
        rack.instance(web, "shop", disks=[{"volume": "local/DOS"}])
    assert refreshed(office, web) == {"DOS": "foreign", "plain": "foreign"}, "nothing is entered twice"
    assert found(office) == {"new": 0, "gone": 0, "back": 0, "strange": 2}
    for number in range(7):
        (place / f"more-{number}").mkdir()
    (place / ("x" * 65)).touch()
    refreshed(office, web)
    assert told(office).endswith("more-1: no plain file; more-2: no plain file and 5 more).")


def test_names_that_cannot_be_shown_are_told_on_one_line(office: Office, web: Person, place: Path) -> None:
    """Line breaks, what steers a terminal, and bytes that are no text went into the sentence as they are."""
    (place / "good").touch()
    for name in (b"two\nlines", b"\x1b[2Jred", b"\xff\xfe", b" lead", "\u3164".encode()):
        Path(os.fsdecode(bytes(place) + b"/" + name)).touch()
    assert refreshed(office, web) == {"good": "foreign"}
    said = told(office)
    assert said.isprintable()
    for words in (
        r"two\nlines: its name has characters that cannot be shown",
        r"\x1b[2Jred: its name has",
        r"\xff\xfe: its name has",
        r"\x20lead: its name begins or ends with a blank",
        r"\u3164: its name has",
    ):
        assert words in said
    for path in place.iterdir():
        path.unlink()
    (place / ("x" * 65)).touch()
    (place / "a'b\\\t").touch()
    refreshed(office, web)
    assert r"a\'b\\\t: " in told(office), "as it is typed between $' and '"
    assert f"{'x' * 64}…: its name has more than 64 characters" in told(office)
    with pytest.raises(NotFound):
        office.sysadm("volume.accept", volume="local/two\nlines", format="raw")


def test_a_raw_volume_comes_back_whatever_its_guest_wrote_to_it(office: Office, web: Person, place: Path) -> None:
    """What looks like another image was nobody's then, and could be accepted as nothing at all."""
    web("volume.add", name="disk", pool="local", capacity=GIB, format="raw")
    rack.settle(office)
    qcow2(place / "disk", backing=100)
    assert refreshed(office, web) == {"disk": "present"}
    (place / "disk").rename(place / ".aside")
    assert refreshed(office, web) == {"disk": "missing"}
    (place / ".aside").rename(place / "disk")
    assert refreshed(office, web) == {"disk": "present"}


def test_what_is_gone_is_missing_and_present_again_when_it_is_back(office: Office, web: Person, place: Path) -> None:
    rack.disk(office, web, "disk")
    img(place / "disk")
    assert refreshed(office, web) == {"disk": "present"}
    (place / "disk").rename(place / ".aside")
    assert refreshed(office, web) == {"disk": "missing"}
    assert found(office) == {"new": 0, "gone": 1, "back": 0, "strange": 0}
    (place / ".aside").rename(place / "disk")
    assert refreshed(office, web) == {"disk": "present"}
    assert found(office) == {"new": 0, "gone": 0, "back": 1, "strange": 0}
    (place / "disk").unlink()
    refreshed(office, web)
    # A guest can write any header to a raw disk; and what is back may be another one, that names files of the host.
    qcow2(place / "disk", backing=512)
    assert refreshed(office, web) == {"disk": "foreign"}


def test_what_is_being_made_and_what_was_deleted_is_left_alone(office: Office, web: Person, place: Path) -> None:
    web("volume.add", name="soon", pool="local", capacity=MIB)
    office.services.database.write(lambda s: s.execute(update(Volume).values(state="creating")))
    rack.settle(office)
    office.services.database.write(lambda s: s.execute(update(Volume).values(state="creating")))
    assert refreshed(office, web) == {"soon": "creating"}


def test_a_format_that_was_said_is_held_against_the_file(office: Office, web: Person, place: Path) -> None:
    qcow2(place / "liar", backing=512)
    qcow2(place / "elsewhere", features=1 << 2)
    (place / "plain").write_bytes(b"\0" * MIB)
    refreshed(office, web)
    for name, said in (("liar", "qcow2"), ("liar", "raw"), ("elsewhere", "qcow2"), ("plain", "qcow2")):
        office.sysadm("volume.accept", volume=f"local/{name}", format=said)
        assert run(office) == TaskState.FAILED.value, (name, said)
        assert web("volume.show", volume=f"local/{name}")["state"] == "foreign"
    office.sysadm("volume.accept", volume="local/plain", format="raw")
    assert run(office) == TaskState.DONE.value
    row = web("volume.show", volume="local/plain")
    assert (row["state"], row["format"], row["capacity"]) == ("present", "raw", MIB)
    with pytest.raises(Refused):
        office.sysadm("volume.accept", volume="local/plain", format="raw")


def image(path: Path, kind: str, *options: str) -> None:
    subprocess.run(["qemu-img", "create", "-q", "-f", kind, *options, str(path), "16M"], check=True)


@pytest.mark.parametrize("kind", ["vmdk", "vdi", "vpc", "vhdx", "qed", "qcow", "qcow2", "parallels"])
def test_no_other_format_is_accepted_as_raw_and_it_is_refused_as_an_image_is(
    office: Office, web: Person, place: Path, kind: str
) -> None:
    """VDI, VHDX, Parallels, VHD of fixed size and what only names the files of a VMDK became raw disks."""
    image(place / kind, kind)
    if kind == "vpc":
        image(place / "fixed", kind, "-o", "subformat=fixed")
    if kind == "vmdk":
        image(place / "flat", kind, "-o", "subformat=monolithicFlat")
    if kind == "qcow2":
        (place / "late").write_bytes(b"QFI\xfb\0\0\0\x07".ljust(MIB, b"\0"))
    refreshed(office, web)
    for path in place.iterdir():
        if path.name == "flat-flat":
            continue  # that one is plain bytes
        assert office.sysadm("volume.show", volume=f"local/{path.name}")["format"] == kind, "what it looks like"
        task = office.sysadm("volume.accept", volume=f"local/{path.name}", format="raw")["task"]
        assert run(office) == TaskState.FAILED.value, path.name
        error = from_wire(office.sysadm("task.show", task=task)["error"])
        with path.open("rb") as file, pytest.raises(InvalidInput) as refused:
            image_files.read(file.fileno(), path.name, "raw")
        assert (error.text(), error.field) == (refused.value.text(), "format")


def test_what_is_accepted_is_what_a_start_takes(office: Office, web: Person, place: Path) -> None:
    """A header was looked at less closely than at a start; a VHD of fixed size was no VHD."""
    image(place / "fixed", "vpc", "-o", "subformat=fixed")
    image(place / "corrupt", "qcow2")
    with (place / "corrupt").open("r+b") as file:
        file.seek(79)
        file.write(b"\2")
    (place / "short").write_bytes(b"x" * 100)
    refreshed(office, web)
    for name, said, words in (("corrupt", "qcow2", "marked as corrupt"), ("short", "raw", "at least 512 bytes")):
        task = office.sysadm("volume.accept", volume=f"local/{name}", format=said)["task"]
        assert run(office) == TaskState.FAILED.value
        error = from_wire(office.sysadm("task.show", task=task)["error"])
        assert error.field == "volume"
        assert words in error.text()
    office.sysadm("volume.accept", volume="local/fixed", format="vpc")
    assert run(office) == TaskState.DONE.value
    row = office.sysadm("volume.show", volume="local/fixed")
    look(place / "fixed", Wanted(row["uuid"], "local/fixed", "vpc", row["capacity"]))
    assert refreshed(office, web)["fixed"] == "present"


def test_a_file_of_no_size_or_an_absurd_one_is_said_to_be_that(office: Office, web: Person, place: Path) -> None:
    """An empty file "claimed a disk of an absurd size"; of 100 TiB neither the size nor the limit was told."""
    (place / "empty").touch()
    qcow2(place / "nothing", capacity=0)
    qcow2(place / "huge", capacity=100 * 1024**4)
    refreshed(office, web)
    for name, said, words in (
        ("empty", "raw", ("empty is empty", "Remove the file")),
        ("nothing", "qcow2", ("claims a disk of 0 bytes",)),
        ("huge", "qcow2", ("claims a disk of 100 TiB", "the largest is 64 TiB", "Make it smaller")),
    ):
        task = office.sysadm("volume.accept", volume=f"local/{name}", format=said)["task"]
        assert run(office) == TaskState.FAILED.value
        text = from_wire(office.sysadm("task.show", task=task)["error"]).text()
        for word in words:
            assert word in text


def test_a_file_is_accepted_for_a_project_which_then_has_it_in_its_quota(
    office: Office, web: Person, place: Path
) -> None:
    """What was accepted belonged to nobody: web's VMs could use it, and web could neither grow nor delete it."""
    for name in ("mine", "ours", "more"):
        qcow2(place / name)
    refreshed(office, web)
    office.project("shop")
    with pytest.raises(Refused, match="not given to that project"):
        office.sysadm("volume.accept", volume="local/mine", format="qcow2", project="shop")
    before = office.sysadm("project.show", project="web")["used_disk"]
    img(place / "mine", place / "ours", place / "more")
    office.sysadm("volume.accept", volume="local/mine", format="qcow2", project="web")
    assert run(office) == TaskState.DONE.value
    row = web("volume.show", volume="local/mine")
    assert (row["state"], row["project"], row["own"]) == ("present", "web", True)
    assert office.sysadm("project.show", project="web")["used_disk"] == before + GIB
    office.sysadm("volume.accept", volume="local/ours", format="qcow2")
    assert run(office) == TaskState.DONE.value
    assert (web("volume.show", volume="local/ours")["project"], web("volume.show", volume="local/ours")["own"]) == (
        "",
        False,
    )
    office.sysadm("project.configure", project="web", max_disk=before + GIB)
    with pytest.raises(QuotaExceeded):
        office.sysadm("volume.accept", volume="local/more", format="qcow2", project="web")
    # The quota may be less by the time that the host has looked.
    office.sysadm("project.configure", project="web", max_disk=before + 2 * GIB)
    office.sysadm("volume.accept", volume="local/more", format="qcow2", project="web")
    office.sysadm("project.configure", project="web", max_disk=before + GIB)
    assert run(office) == TaskState.FAILED.value
    assert (web("volume.show", volume="local/more")["state"], web("volume.show", volume="local/more")["own"]) == (
        "foreign",
        False,
    )
    web("volume.delete", volume="local/mine")


def test_two_that_are_accepted_together_do_not_overshoot_what_their_pool_holds(
    office: Office, web: Person, place: Path
) -> None:
    """Each fits alone; until their host has looked both count with what little they take."""
    office.services.database.write(lambda s: s.execute(update(Pool).values(capacity=GIB + GIB // 2)))
    img(place / "one", place / "two")
    refreshed(office, web)
    asked = [office.sysadm("volume.accept", volume=f"local/{name}", format="qcow2")["task"] for name in ("one", "two")]
    run(office)
    tasks = {row["state"]: row for row in (office.sysadm("task.show", task=task) for task in asked)}
    assert tasks.keys() == {TaskState.DONE.value, TaskState.FAILED.value}
    error = from_wire(tasks[TaskState.FAILED.value]["error"])
    assert isinstance(error, QuotaExceeded)
    assert error.field == "volume"
    assert "too much" in error.text()
    assert sorted(row["state"] for row in web("volume.list")["rows"]) == ["foreign", "present"]


def test_many_volumes_take_few_statements(office: Office, web: Person, place: Path) -> None:
    for number in range(1200):
        (place / f"v{number}").touch()
    web("pool.refresh", pool="local")
    statements: list[str] = []
    engine = office.services.database.engine
    listen = lambda *given: statements.append(given[2])  # noqa: E731
    event.listen(engine, "before_cursor_execute", listen)
    try:
        assert run(office) == TaskState.DONE.value
    finally:
        event.remove(engine, "before_cursor_execute", listen)
    batches = -(-1200 // discovery.BATCH)
    assert sum("INSERT INTO volume" in one for one in statements) == batches
    assert len(statements) <= 25 + 6 * batches, len(statements)
    count = office.services.database.read(lambda s: len(s.scalars(select(Volume.id)).all()))
    assert count == 1200


def test_heads_are_read_several_at_a_time_and_it_is_told_how_far_that_is(
    office: Office, web: Person, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over NFS each costs three answers of the server, and of a pool that was known 98 % were told at once."""
    monkeypatch.setattr(refresh, "BATCH", 4)
    names = [f"v{number}" for number in range(8)]
    for name in names:
        rack.disk(office, web, name)
    img(*(place / name for name in names))
    met = threading.Barrier(4)
    listed = threading.Event()

    def touch(_pool: str, work: Any, limit: float) -> Any:
        if listed.is_set():
            met.wait(10)
        listed.set()
        return work()

    keeper: Any = SimpleNamespace(ready=lambda _pool: None, touch=touch, own=rack.ELSEWHERE)
    units: Any = SimpleNamespace(found=lambda _pool: [])
    database, clock = office.services.database, SystemClock()
    work = refresh.RefreshTasks(database, keeper, units, lambda _secret: "", clock.now)
    web("pool.refresh", pool="local")
    host = rack.host_id(office, "h1")
    (task,) = database.write(lambda session: tasks.take(session, host, "boot", clock.now()))
    told: list[int] = []
    work.refresh(task, Context(told.append, threading.Event()))
    assert list(dict.fromkeys(told)) == [10, 54, 99]


def test_when_a_pool_was_measured_is_written_with_the_end_of_its_refresh(
    office: Office, web: Person, place: Path
) -> None:
    """It had a transaction of its own, one more for who else writes to wait for."""
    rack.disk(office, web, "disk")
    img(place / "disk")
    engine = office.services.database.engine
    for damaged in (False, True):
        if damaged:
            (place / "disk").write_bytes(b"another one")
        before = web("volume.show", volume="local/disk")["measured"]
        web("pool.refresh", pool="local")
        written: list[list[str]] = [[]]
        execute = lambda *given, seen=written: seen[-1].append(given[2])  # noqa: E731
        commit = lambda _connection, seen=written: seen.append([])  # noqa: E731
        event.listen(engine, "before_cursor_execute", execute)
        event.listen(engine, "commit", commit)
        try:
            assert run(office) == (TaskState.FAILED.value if damaged else TaskState.DONE.value)
        finally:
            event.remove(engine, "before_cursor_execute", execute)
            event.remove(engine, "commit", commit)
        (last,) = [one for one in written if any("UPDATE pool SET measured" in statement for statement in one)]
        assert any("UPDATE task" in statement for statement in last) is not damaged
        assert web("volume.show", volume="local/disk")["measured"] != before, "that one is damaged hinders no measure"


@pytest.mark.parametrize(
    "junk", [b"", b"QFI\xfb", b"QED\0", b"KDMV", b"conectix", b"\xff" * 512, b"QFI\xfb" + b"\xff" * 508]
)
def test_a_broken_header_is_told_without_harm(junk: bytes) -> None:
    told = image_headers.tell(junk, len(junk))
    assert 0 <= told.capacity <= 64 * 1024**4


def test_an_encrypted_file_is_accepted_with_the_secret_that_opens_it(office: Office, web: Person, place: Path) -> None:
    """It was "encrypted" and nothing else, whatever one did."""
    value = "Correct-horse"
    for name, secret in (("qcow", "encrypt.format=luks,encrypt.key-secret=k,encrypt.iter-time=10"), ("luks", "")):
        made = ["-f", "qcow2", "-o", secret] if secret else ["-f", "luks", "-o", "key-secret=k,iter-time=10"]
        secret_object = f"secret,id=k,data={value}"
        command = ["qemu-img", "create", "-q", "--object", secret_object, *made, str(place / name), str(MIB)]
        # Now and then it cannot tell what processor time it used, as hostd knows.
        until(lambda command=command: subprocess.run(command, check=False).returncode == 0)  # type: ignore[misc]
    img(place / "plain")
    refreshed(office, web)
    office.project("shop")
    for name, project, text in (("key", "web", value), ("other", "web", "Quite-another"), ("theirs", "shop", value)):
        office.sysadm(
            "secret.add", name=name, display_name=name, kind="volume", usage=name, project=project, value=text
        )
    # Given to no project, it would open with that secret in the VMs of every project that has the pool.
    for project, remedy in (("web", "Give the secret to project web first"), ("", "Give the secret to no project")):
        with pytest.raises(Refused, match=f"secret theirs, which is another project's. {remedy}") as refused:
            office.sysadm("volume.accept", volume="local/qcow", format="qcow2", project=project, secret="theirs")
        assert refused.value.field == "secret"
    webs = {"project": "web"}
    with pytest.raises(InvalidInput, match="cannot be encrypted"):
        office.sysadm("volume.accept", volume="local/qcow", format="vmdk", secret="key")
    for name, more, words in (
        ("qcow", {"format": "qcow2"}, "qcow is encrypted. Name the secret that it opens with"),
        ("luks", {"format": "raw"}, "luks is encrypted. Name the secret"),
        ("qcow", {"format": "qcow2", **webs, "secret": "other"}, "qcow does not open with the value of secret other."),
        ("luks", {"format": "raw", **webs, "secret": "other"}, "luks does not open with the value of secret other."),
        ("plain", {"format": "qcow2", **webs, "secret": "key"}, "plain is not encrypted."),
    ):
        task = office.sysadm("volume.accept", volume=f"local/{name}", **more)["task"]
        assert run(office) == TaskState.FAILED.value
        assert words in from_wire(office.sysadm("task.show", task=task)["error"]).text()
        row = office.sysadm("volume.show", volume=f"local/{name}")
        # What it looks like is shown: of an encrypted file nobody accepted, "no" was said.
        assert (row["state"], row["secret"], row["encrypted"]) == ("foreign", "", name != "plain")
    for name, said in (("qcow", "qcow2"), ("luks", "raw")):
        office.sysadm("volume.accept", volume=f"local/{name}", format=said, project="web", secret="key")
        assert run(office) == TaskState.DONE.value
        row = web("volume.show", volume=f"local/{name}")
        assert (row["state"], row["format"], row["secret"], row["capacity"]) == ("present", said, "key", MIB)
    with pytest.raises(InUse):
        office.sysadm("secret.delete", secret="key")
    office.sysadm("volume.accept", volume="local/plain", format="qcow2", project="web")
    assert run(office) == TaskState.DONE.value
    listed = web("volume.list", sort="encrypted")["rows"]
    assert [(row["name"], row["encrypted"]) for row in listed] == [("plain", False), ("qcow", True), ("luks", True)]
