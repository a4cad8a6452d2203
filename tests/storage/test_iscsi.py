"""Pools on the units of an iSCSI target that asks for an account (CHAP)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.hostd import until
from tests.storage.arguments import watched
from tests.storage.cloud import Cloud, begins, write
from tests.storage.here import Here
from tests.storage.outage import BACK, TOLD, Writer, away, does_not_start
from tests.storage.servers import TARGET, IscsiServer, silent

pytestmark = [pytest.mark.storage, pytest.mark.timeout(400)]

PORT = 3260
PASSWORD = "chap-secret-12"
_WORDS = ["--type", "iscsi", "--server", "127.0.0.1", "--source", TARGET, "--account", "alice"]
_REST = ["--capacity", "1GiB", "--project", "web"]
_REFUSED = "refuses the account or password"


@pytest.fixture(scope="module")
def server(here: Here) -> IscsiServer:
    """A target with two units."""
    return IscsiServer(here, PASSWORD)


def kept_in(text: str) -> list[int]:
    """The permissions of open-iscsi's files that have a text in them."""
    files = [file for file in Path("/etc/iscsi").rglob("*") if file.is_file() and text in file.read_text()]
    return [file.stat().st_mode & 0o777 for file in files]


def stands_still_and_goes_on(cloud: Cloud, here: Here, writer: Writer) -> None:
    """A server that is away for longer than the kernel waits: the VM stands still, says why, and is resumed."""
    for limit in Path("/sys/class/iscsi_session").glob("*/recovery_tmo"):
        limit.write_text("3")
    with silent(here, PORT):
        until(lambda: cloud.vm("on-iscsi")["state"] == "halted", TOLD, cloud.log_tail())
        shown = cloud.dosvm("vm", "show", "on-iscsi", account="zhao").out
        assert "The storage refuses what the guest reads or writes on vda (san/" in shown
        assert "I/O error" in cloud.dosvm("vm", "list", account="zhao").out
    until(lambda: cloud.vm("on-iscsi")["state"] == "running", BACK, f"it goes on by itself: {cloud.log_tail()}")
    writer.goes_on()
    assert cloud.vm("on-iscsi")["halt_error"] == ""


def test_a_unit_of_a_target_that_asks_for_chap(cloud: Cloud, server: IscsiServer, here: Here) -> None:
    cloud.add_secret("chap", "iscsi", "another-secret1")
    refused = cloud.dosvm("pool", "add", "san", *_WORDS, "--secret", "chap", *_REST, "--wait", check=False)
    assert refused.code != 0
    assert _REFUSED in refused.err
    cloud.change_secret("chap", PASSWORD)
    with watched() as seen:
        cloud.dosvm("pool", "add", "san", *_WORDS, "--secret", "chap", *_REST, "--wait")
    assert any("iscsiadm" in words and "--login" in words for words in seen), "it was not looked at in time"
    assert not any(PASSWORD in words for words in seen)
    name, other = names = cloud.found("san")
    with cloud.boot("on-iscsi", f"san/{name}") as console:
        write(console, "before the cut")
        assert begins(server.units[0], "before the cut")
        # A guest that writes meanwhile waits, and goes on by itself: the kernel refuses nothing for two minutes.
        writer = Writer(console)
        with away(cloud, here, "san", PORT):
            does_not_start(cloud, "off-iscsi", f"san/{other}")
        writer.goes_on()
        stands_still_and_goes_on(cloud, here, writer)
        writer.check(server.units[0])
    cloud.clean()
    assert cloud.found("san") == names

    # The server has another password since; the host is rebooted (its session ends).
    cloud.change_secret("chap", "another-secret2")
    here.run("iscsiadm", "--mode", "session", "--logout")
    refused = cloud.dosvm("pool", "refresh", "san", "--yes", "--wait", check=False)
    assert _REFUSED in refused.err
    row = cloud.pool("san")
    assert row["state"] == "failed"
    assert _REFUSED in str(row["error"])
    cloud.change_secret("chap", PASSWORD)
    assert cloud.found("san") == names
    assert kept_in(PASSWORD) == [0o600]
    cloud.forget("san")
    assert kept_in(PASSWORD) == []
    logs = [cloud.log.read_text(), Path("/run/servers.log").read_text()]
    assert not any(PASSWORD in said for said in logs)
