"""Pools on a server of storage: their fields, and what of them belongs together."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import InvalidInput
from core.model import Task, TaskState
from tests.fakes.office import GIB, Office


def _nfs(office: Office, name: str = "nfspool1", **more: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "name": name,
        "type": "netfs",
        "server": "192.168.2.212",
        "source": "/raid/disk-pool",
        "path": f"/media/{name}",
        "capacity": 25 * GIB,
    }
    return office.sysadm("pool.add", **{**arguments, **more})


def _secret(office: Office, name: str, kind: str) -> None:
    office.sysadm("secret.add", name=name, display_name=name, kind=kind, usage=name, value="Sh4re-secret")


def test_the_manuals_example(office: Office) -> None:
    office.host("h1")
    _nfs(office, vendor="NAS", product="X")
    row = office.sysadm("pool.show", pool="nfspool1")
    wanted = {
        "type": "netfs",
        "server": "192.168.2.212",
        "port": None,
        "source": "/raid/disk-pool",
        "path": "/media/nfspool1",
        "format": "auto",
        "host": "",
        "account": "",
        "secret": "",
    }
    assert {key: row[key] for key in wanted} == wanted
    assert '<format type="auto" />' in row["xml"]


@pytest.mark.parametrize(
    ("field", "more"),
    [
        ("server", {"server": ""}),
        ("server", {"server": "two words"}),
        ("server", {"server": "-o"}),
        ("server", {"server": "1.2.3.4.5"}),
        ("source", {"source": ""}),
        ("source", {"format": "nfs", "source": "relative"}),
        ("source", {"format": "nfs", "source": "/a/../etc"}),
        ("source", {"format": "cifs", "source": "a,b"}),
        ("source", {"format": "glusterfs", "source": "a:b"}),
        ("path", {"path": "/etc/x"}),
        ("format", {"format": "ext4"}),
        ("port", {"port": 70000}),
        ("host", {"host": "h1"}),
        ("devices", {"devices": ["/dev/sda"]}),
        ("account", {"account": "zhao"}),
        ("secret", {"format": "cifs", "account": "zhao"}),
        ("account", {"format": "cifs", "secret": "nas"}),
        ("account", {"format": "cifs", "account": "a,b", "secret": "nas"}),
        ("secret", {"format": "cifs", "account": "zhao", "secret": "chap"}),
    ],
)
def test_a_broken_rule_is_said_at_its_field(office: Office, field: str, more: dict[str, Any]) -> None:
    office.host("h1")
    _secret(office, "nas", "cifs")
    _secret(office, "chap", "iscsi")
    source = {"source": "disks"} if more.get("format") in ("cifs", "glusterfs") else {}
    with pytest.raises(InvalidInput) as refused:
        _nfs(office, **{**source, **more})
    assert refused.value.field == field
    assert office.sysadm("pool.list")["total"] == 0


def test_one_export_is_one_pool(office: Office) -> None:
    office.host("h1")
    _nfs(office)
    with pytest.raises(InvalidInput, match="that of storage pool nfspool1") as refused:
        _nfs(office, "second")
    assert refused.value.field == "source"
    with pytest.raises(InvalidInput, match="overlaps"):
        _nfs(office, "third", source="/raid/other", path="/media/nfspool1/below")
    _nfs(office, "fourth", source="/raid/other")


def test_a_secret_that_a_pool_uses_is_not_deleted_and_never_shown(office: Office) -> None:
    office.project("web")
    office.host("h1")
    _secret(office, "nas", "cifs")
    _nfs(office, format="cifs", source="disks", account="vm", secret="nas", projects=["web"])
    row = office.sysadm("pool.show", pool="nfspool1")
    assert (row["account"], row["secret"]) == ("vm", "nas")
    assert "Sh4re-secret" not in str(row)
    assert office.sysadm("secret.show", secret="nas")["used_by"] == ["nfspool1"]
    with pytest.raises(Exception, match="nfspool1"):
        office.sysadm("secret.delete", secret="nas")


def test_a_project_sees_where_its_pool_is_but_not_by_which_secret(office: Office) -> None:
    web = office.project("web")
    office.host("h1")
    _secret(office, "nas", "cifs")
    _nfs(office, format="cifs", source="disks", account="vm", secret="nas", projects=["web"])
    office.services.database.write(lambda s: s.query(Task).update({"state": TaskState.DONE.value}))
    row = web("pool.show", pool="nfspool1")
    assert (row["server"], row["secret"]) == ("192.168.2.212", "")
