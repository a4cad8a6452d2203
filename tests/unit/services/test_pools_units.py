"""Pools whose volumes others make: what they ask for, and which storage is somebody else's already."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import InvalidInput
from core.rules import pools
from tests.fakes.office import GIB, Office


@pytest.fixture(autouse=True)
def _all_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cloud that offers all kinds of pools."""
    monkeypatch.setattr(pools, "OFFERED", tuple(pools.KINDS))


USUAL: dict[str, dict[str, Any]] = {
    "iscsi": {"server": "192.168.2.189", "source": "qyj-target"},
    "disk": {"host": "h1", "source": "/dev/sdb"},
    "logical": {"host": "h1", "path": "/dev/vg0", "devices": ["/dev/sda3", "/dev/sda4"]},
}


def add(office: Office, kind: str, name: str = "vg0", **more: Any) -> dict[str, Any]:
    """Make one; the names of logical pools are those of their groups."""
    office.sysadm("pool.add", **{"name": name, "type": kind, "capacity": 60 * GIB, **USUAL[kind], **more})
    return office.sysadm("pool.show", pool=name)


@pytest.fixture
def secrets(office: Office) -> None:
    """A secret for CHAP and one for volumes, and two hosts."""
    for host in ("h1", "h2"):
        office.host(host)
    for kind in ("iscsi", "volume"):
        office.sysadm("secret.add", name=kind, display_name=kind, kind=kind, usage=kind, value="Sh4re-secret")


@pytest.mark.usefixtures("secrets")
def test_the_manuals_examples(office: Office) -> None:
    san = add(office, "iscsi", "iscsipool3", account="qgh", secret="iscsi")
    assert (san["path"], san["port"], san["host"]) == ("/dev/disk/by-path", 3260, "")
    # hostd logs in: to libvirt a password would be an argument of a program.
    assert "auth" not in san["xml"]
    assert "Sh4re" not in san["xml"]
    disk = add(office, "disk", "diskvolpool1")
    assert (disk["path"], disk["format"], disk["host"]) == ("/dev", "dos", "h1")
    group = add(office, "logical")
    assert (group["path"], group["format"], group["devices"]) == ("/dev/vg0", "lvm2", ["/dev/sda3", "/dev/sda4"])


@pytest.mark.usefixtures("secrets")
@pytest.mark.parametrize(
    ("kind", "field", "more"),
    [
        ("iscsi", "server", {"server": ""}),
        ("iscsi", "source", {"source": "two words"}),
        ("iscsi", "source", {"source": "../../etc"}),
        ("iscsi", "host", {"host": "h1"}),
        ("iscsi", "path", {"path": "/srv/x"}),
        ("iscsi", "secret", {"account": "qgh"}),
        ("iscsi", "account", {"secret": "iscsi"}),
        ("iscsi", "secret", {"account": "qgh", "secret": "volume"}),
        ("disk", "host", {"host": ""}),
        ("disk", "source", {"source": "/etc/passwd"}),
        ("disk", "source", {"source": "/dev/../etc/passwd"}),
        ("disk", "format", {"format": "ext4"}),
        ("disk", "server", {"server": "nas"}),
        ("logical", "path", {"path": "/dev/vg0/lvol0"}),
        ("logical", "path", {"path": "/srv/vg0"}),
        ("logical", "name", {"path": "/dev/other"}),
        ("logical", "devices", {"devices": ["sda3"]}),
        ("logical", "format", {"format": "dos"}),
    ],
)
def test_a_broken_rule_is_said_at_its_field(office: Office, kind: str, field: str, more: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refused:
        add(office, kind, **more)
    assert refused.value.field == field
    assert office.sysadm("pool.list")["total"] == 0


@pytest.mark.usefixtures("secrets")
def test_storage_is_one_pools_only(office: Office) -> None:
    add(office, "iscsi", "one")
    with pytest.raises(InvalidInput, match="that of storage pool one"):
        add(office, "iscsi", "two")
    # By its address, or by another of its ports, it is the same target: two VMs would write to one unit.
    with pytest.raises(InvalidInput, match="that of storage pool one"):
        add(office, "iscsi", "two", server="nas.example.org", port=3261)
    add(office, "disk", "parts")
    with pytest.raises(InvalidInput, match="that of storage pool parts"):
        add(office, "disk", "again")
    add(office, "disk", "elsewhere", host="h2")
    with pytest.raises(InvalidInput, match="that of storage pool parts") as refused:
        add(office, "logical", devices=["/dev/sda3", "/dev/sdb1"])
    assert refused.value.field == "devices"
    add(office, "logical", devices=["/dev/sda3"])
    with pytest.raises(InvalidInput, match="that of storage pool vg0") as refused:
        add(office, "disk", "whole", source="/dev/sda")
    assert refused.value.field == "source"
    add(office, "disk", "similar", source="/dev/sdaa")
