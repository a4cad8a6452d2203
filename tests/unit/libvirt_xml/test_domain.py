"""A VM's configuration becomes the domain that libvirt runs; nothing more gets in."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from core.libvirt_xml import NAMESPACE, domain_xml, pool_xml
from core.libvirt_xml import devices as devices_module
from core.libvirt_xml import domain as domain_module
from core.libvirt_xml import storage as storage_module
from core.libvirt_xml.builder import Flag, Node, properties
from core.libvirt_xml.domain import Domain
from core.security.sealed import SealedSecret
from core.specs.instance import BUS_SLOTS, parse_instance
from core.specs.order import BackingFile, DiskOrder, MachineOrder
from core.specs.pool import PoolOrder

DATA = Path(__file__).parent / "data"
SCHEMAS = Path("/usr/share/libvirt/schemas")
UUID = "b1b6ac30-8f6c-4a35-ae90-86ee9ba11c11"

RICH: dict[str, Any] = {
    "vcpus": 2,
    "memory": "128MiB",
    "machine": "pc",
    "boot": ["cdrom", "hd"],
    "boot_menu": True,
    "boot_menu_timeout": 5000,
    "bios_serial": True,
    "reboot_timeout": 10000,
    "disks": [
        {"volume": "local/system", "bus": "virtio", "cache": "none", "target": "vdb"},
        {"image": "golden", "bus": "sata", "copy_on_read": True},
        {"image": "data", "bus": "usb", "removable": True, "read_only": True},
        {"device": "cdrom", "image": "install", "startup_policy": "optional", "tray": "open"},
        {"device": "cdrom"},
    ],
    "graphics": [
        {
            "type": "vnc",
            "password": "s3cret",
            "password_valid_to": "2030-01-31T12:00:00",
            "keep_connected": True,
            "sharing": "ignore",
        },
        {
            "type": "spice",
            "port": 5930,
            "tls_port": 5931,
            "default_mode": "insecure",
            "listen": "::1",
            "channels": [{"name": "main", "mode": "secure"}],
            "image_compression": "quic",
            "jpeg": "auto",
            "zlib": "never",
            "playback": False,
            "streaming": "filter",
            "file_transfer": False,
        },
    ],
    "tuning_xml": "<domain><features><pae/></features><cpu mode='custom'><model>qemu64</model></cpu></domain>",
    "devices_xml": "<devices><sound model='ich6'/><watchdog model='i6300esb' action='reset'/></devices>",
}


def order(spec: dict[str, Any], **changes: Any) -> MachineOrder:
    """An order for a spec, each disk with a file of its own.

    Images named ``golden`` need an overlay, the volume ``local/system`` is encrypted.
    """
    parsed = parse_instance(spec)
    disks = []
    for disk in parsed.disks:
        name = disk.volume or disk.image
        if not name:
            continue
        overlay = disk.image == "golden"
        kind = "volume" if disk.volume else "image"
        form = "qcow2" if disk.volume else "raw"
        path = f"/srv/{name.replace('/', '-')}"
        secret = SealedSecret(UUID, "disk-key", "volume", "sealed") if name == "local/system" else None
        disks.append(DiskOrder(kind, UUID, name, path, form, overlay, "/srv", secret=secret))
    values: dict[str, Any] = {
        "id": 1,
        "uuid": UUID,
        "name": "web-1",
        "project": "web",
        "instance": "web",
        "epoch": 7,
        "power": "on",
        "state": "off",
        "host_id": 1,
        "enabled": True,
        "spec": parsed,
        "disks": tuple(disks),
        "passwords": tuple(graphics.password for graphics in parsed.graphics),
    }
    return MachineOrder(**(values | changes))


def _is_flag(cls: type[Node], name: str) -> bool:
    """Whether the property is an element that says yes by being there: only then does False mean untried."""
    return isinstance(getattr(cls, name), Flag)


def valid(xml: str, schema: str) -> None:
    """Fail when a document breaks libvirt's own schema."""
    grammar = etree.RelaxNG(etree.parse(str(SCHEMAS / f"{schema}.rng")))
    grammar.assertValid(etree.fromstring(xml))


def test_a_rich_instance_becomes_the_domain_we_agreed_on() -> None:
    xml = domain_xml(order(RICH), accelerator="tcg", overlays={1: "/run/overlay"})
    assert xml == (DATA / "rich-domain.xml").read_text()
    valid(xml, "domain")


def test_the_smallest_instance_is_a_domain() -> None:
    xml = domain_xml(order({}), accelerator="kvm")
    assert xml == (DATA / "small-domain.xml").read_text()
    valid(xml, "domain")


_CHAP = SealedSecret(UUID, "key", "iscsi", "sealed")
POOLS = (
    PoolOrder(1, UUID, "local", "dir", "/srv/pool", vendor="Acme", product="Box"),
    PoolOrder(1, UUID, "nfs", "netfs", "/srv/nfs", format="nfs", server="nas", port=2050, source="/raid/disk-pool"),
    PoolOrder(1, UUID, "any", "netfs", "/srv/any", format="auto", server="192.168.2.212", source="/raid/disk-pool"),
    PoolOrder(1, UUID, "smb", "netfs", "/srv/smb", format="cifs", server="nas", source="/disks", account="vm"),
    PoolOrder(
        1,
        UUID,
        "san",
        "iscsi",
        "/dev/disk/by-path",
        server="san",
        port=3260,
        source="qyj-target",
        account="qgh",
        secret=_CHAP,
    ),
    PoolOrder(1, UUID, "parts", "disk", "/dev", format="gpt", source="/dev/sdb"),
    PoolOrder(1, UUID, "vg0", "logical", "/dev/vg0", format="lvm2", devices=("/dev/sda3", "/dev/sda4")),
)


UNIT = "/dev/disk/by-path/ip-192.168.2.189:3260-iscsi-qyj-target-lun-2"


def _with_unit(**disk: Any) -> str:
    plain = order({"disks": [{"volume": "san/unit:0:0:2", **disk}]})
    unit = dataclasses.replace(plain.disks[0], format="raw", path=UNIT, pool=UUID, pool_kind="iscsi")
    return domain_xml(dataclasses.replace(plain, disks=(unit,)), accelerator="tcg")


def test_a_unit_is_a_block_device_of_plain_bytes() -> None:
    xml = _with_unit()
    valid(xml, "domain")
    (disk,) = Domain.parse(xml).disks
    assert (disk.type, disk.dev, disk.file, disk.format) == ("block", UNIT, None, "raw")
    assert disk.ends_here, "nothing is looked for in it"
    assert disk.cache == "none", "or its VM could not be migrated"
    assert Domain.parse(_with_unit(cache="writeback")).disks[0].cache == "writeback"


def test_what_a_pool_says_to_libvirt_has_no_password_in_it() -> None:
    assert "sealed" not in pool_xml(POOLS[4])
    assert '<dir path="disks" />' in pool_xml(POOLS[3])


def test_pools_are_what_libvirt_expects() -> None:
    for pool in POOLS:
        valid(pool_xml(pool), "storagepool")
    valid(pool_xml(POOLS[1], options=["hard", "port=2050"]), "storagepool")


def test_a_snapshot_names_all_it_rests_on_with_formats_and_keys() -> None:
    key = SealedSecret(UUID, "key", "volume", "")
    chain = (
        BackingFile("local/middle", "/srv/pool/middle", "qcow2"),
        BackingFile("local/base", "/srv/pool/base", "raw", key),
    )
    plain = order({"disks": [{"volume": "local/top"}]})
    disk = dataclasses.replace(plain.disks[0], format="qcow2", secret=key, backing=chain)
    xml = domain_xml(dataclasses.replace(plain, disks=(disk,)), accelerator="tcg")
    valid(xml, "domain")
    first = Domain.parse(xml).disks[0].element.find("backingStore")
    found = []
    while first is not None and first.get("type"):
        source = first.find("source")
        kind = first.find("format")
        assert source is not None
        assert kind is not None
        found.append((kind.get("type"), source.get("file"), source.find("encryption") is not None))
        first = first.find("backingStore")
    assert found == [("qcow2", "/srv/pool/middle", False), ("raw", "/srv/pool/base", True)]
    assert first is not None
    assert not first.attrib, "and there it ends"


def test_names_of_any_kind_are_only_names() -> None:
    for name in ("[red]x", "'; DROP TABLE", "字" * 64, "😀", "</title><x/>", "a&b", "\ufffe"):
        xml = domain_xml(order({}, name=name, project=name, instance=name), accelerator="tcg")
        valid(xml, "domain")
        (machine,) = Domain.parse(xml).ensure(("metadata",))
        assert machine.get("name") == (name if name != "\ufffe" else "?")
        assert machine.get("xmlns:dosvm") == NAMESPACE


def test_a_screen_without_a_password_is_not_open_to_the_network() -> None:
    closed = Domain.parse(domain_xml(order({"graphics": [{"type": "vnc"}]}), accelerator="tcg"))
    assert [screen.listen_address for screen in closed.graphics] == ["127.0.0.1"]
    secret = order({"graphics": [{"type": "vnc", "password": "geheim"}]})
    assert Domain.parse(domain_xml(secret, accelerator="tcg")).graphics[0].listen_address == "0.0.0.0"


def test_formats_are_said_and_chains_end() -> None:
    domain = Domain.parse(domain_xml(order(RICH), accelerator="tcg", overlays={1: "/run/overlay"}))
    for disk in domain.disks:
        assert disk.format in ("qcow2", "raw")
        if disk.file:
            assert disk.ends_here or disk.backing_ends
    overlay = domain.disks[1]
    assert (overlay.file, overlay.format, overlay.backing_format) == ("/run/overlay", "qcow2", "raw")


def test_what_a_class_does_not_know_stays() -> None:
    text = "<disk type='file'><foo a='1'><bar/></foo><target dev='vda' bus='virtio'/></disk>"
    disk = devices_module.Disk.parse(text)
    disk.cache = "none"
    assert disk.element.find("foo/bar") is not None
    assert [child.tag for child in disk.element] == ["driver", "foo", "target"] or disk.element[0].tag == "driver"


def test_every_declared_property_is_exercised() -> None:
    rich, small = (Domain.parse((DATA / name).read_text()) for name in ("rich-domain.xml", "small-domain.xml"))
    pools = [storage_module.Pool.parse(pool_xml(pool)) for pool in POOLS]
    seen: dict[type[Node], set[str]] = {}

    def look(node: Node) -> None:
        for name in properties(type(node)):
            value = getattr(node, name)
            if value is not None and value != () and not (value is False and _is_flag(type(node), name)):
                seen.setdefault(type(node), set()).add(name)
            if isinstance(value, tuple):
                for child in value:
                    look(child)

    for node in (rich, small, Domain.parse(_with_unit()), *pools):
        look(node)
    for module in (domain_module, devices_module, storage_module):
        for cls in vars(module).values():
            if isinstance(cls, type) and issubclass(cls, Node) and cls is not Node:
                assert set(properties(cls)) <= seen.get(cls, set()), f"{cls.__name__}: not all tried"


@st.composite
def instances(draw: st.DrawFn) -> dict[str, Any]:
    """Instances within the rules."""
    disks = []
    used: dict[str, int] = {}
    for index in range(draw(st.integers(0, 6))):
        device = draw(st.sampled_from(("disk", "cdrom")))
        bus = draw(st.sampled_from(("virtio", "sata", "scsi", "usb") if device == "disk" else ("sata", "scsi", "usb")))
        used[bus] = used.get(bus, 0) + 1
        if used[bus] > BUS_SLOTS[bus]:
            continue
        source = {"volume": f"p/v{index}"} if device == "disk" and draw(st.booleans()) else {"image": f"i{index}"}
        disks.append({"device": device, "bus": bus, **source})
    return {
        "vcpus": draw(st.integers(1, 255)),
        "memory": draw(st.integers(16 << 20, 1 << 40)),
        "machine": draw(st.sampled_from(("pc", "q35"))),
        "boot": draw(st.lists(st.sampled_from(("cdrom", "hd", "fd", "network")), min_size=1, max_size=4, unique=True)),
        "boot_menu": draw(st.booleans()),
        "tablet": draw(st.booleans()),
        "disks": disks,
        "graphics": draw(
            st.sampled_from(([], [{"type": "vnc"}], [{"type": "spice"}], [{"type": "vnc"}, {"type": "spice"}]))
        ),
    }


@settings(deadline=None, max_examples=60)
@given(spec=instances(), name=st.text(min_size=1, max_size=64), accelerator=st.sampled_from(("kvm", "tcg")))
def test_every_instance_within_the_rules_is_a_valid_domain(spec: dict[str, Any], name: str, accelerator: str) -> None:
    name = name.encode("utf-8", "replace").decode()
    xml = domain_xml(order(spec, name=name), accelerator=accelerator)
    if "\n" not in name and "\r" not in name:  # the rule for names refuses control characters
        valid(xml, "domain")
    again = Domain.parse(xml)
    assert again.vcpus == spec["vcpus"]
    assert len({disk.target for disk in again.disks}) == len(spec["disks"])


@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_parsing_and_building_again_changes_nothing(machine: str) -> None:
    xml = domain_xml(order(RICH | {"machine": machine}), accelerator="kvm")
    assert Domain.parse(xml).xml() == xml
