"""Pools on the units of an iSCSI target that asks for an account (CHAP)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.storage.arguments import watched
from tests.storage.cloud import Cloud
from tests.storage.here import Here
from tests.storage.servers import CHAP_PASSWORD, TARGET, IscsiServer

pytestmark = [pytest.mark.storage, pytest.mark.timeout(400)]

_WORDS = ["--type", "iscsi", "--server", "127.0.0.1", "--source", TARGET, "--account", "alice"]
_REST = ["--capacity", "1GiB", "--project", "web"]
_REFUSED = "refuses the account or password"


def kept_in(text: str) -> list[int]:
    """The permissions of open-iscsi's files that have a text in them."""
    files = [file for file in Path("/etc/iscsi").rglob("*") if file.is_file() and text in file.read_text()]
    return [file.stat().st_mode & 0o777 for file in files]


def test_a_unit_of_a_target_that_asks_for_chap(cloud: Cloud, iscsi: IscsiServer, here: Here) -> None:
    cloud.add_secret("chap", "iscsi", "another-secret1")
    refused = cloud.dosvm("pool", "add", "san", *_WORDS, "--secret", "chap", *_REST, "--wait", check=False)
    assert refused.code != 0
    assert _REFUSED in refused.err
    cloud.change_secret("chap", CHAP_PASSWORD)
    with watched() as seen:
        cloud.dosvm("pool", "add", "san", *_WORDS, "--secret", "chap", *_REST, "--wait")
    assert any("iscsiadm" in words and "--login" in words for words in seen), "it was not looked at in time"
    assert not any(CHAP_PASSWORD in words for words in seen)
    names = cloud.found("san")
    assert len(names) == 2

    # The server has another password since; the host is rebooted (its session ends).
    cloud.change_secret("chap", "another-secret2")
    here.run("iscsiadm", "--mode", "session", "--logout")
    refused = cloud.dosvm("pool", "refresh", "san", "--yes", "--wait", check=False)
    assert _REFUSED in refused.err
    row = cloud.pool("san")
    assert row["state"] == "failed"
    assert _REFUSED in str(row["error"])
    cloud.change_secret("chap", CHAP_PASSWORD)
    assert cloud.found("san") == names
    assert kept_in(CHAP_PASSWORD) == [0o600]
    cloud.forget("san")
    assert kept_in(CHAP_PASSWORD) == []
    logs = [cloud.log.read_text(), Path("/run/servers.log").read_text()]
    assert not any(CHAP_PASSWORD in said for said in logs)
