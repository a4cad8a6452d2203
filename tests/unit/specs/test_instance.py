"""What a person may write as an instance, and the sentence at the field when it breaks a rule."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidInput
from core.specs.instance import BUS_SLOTS, InstanceSpec, parse_instance


def disk(**values: Any) -> dict[str, Any]:
    """An instance with one disk, on a volume unless an image is named or it is a CD drive."""
    volume = {} if "image" in values or values.get("device") == "cdrom" else {"volume": "local/a"}
    return {"disks": [{**volume, **values}]}


def vnc(**values: Any) -> dict[str, Any]:
    """An instance with a VNC screen."""
    return {"graphics": [{"type": "vnc", **values}]}


def spice(**values: Any) -> dict[str, Any]:
    """An instance with a SPICE screen."""
    return {"graphics": [{"type": "spice", **values}]}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"colour": "red"}, "colour"),
    ({"vcpus": 0}, "vcpus"),
    ({"vcpus": 256}, "vcpus"),
    ({"vcpus": "2"}, "vcpus"),
    ({"vcpus": True}, "vcpus"),
    ({"memory": "much"}, "memory"),
    ({"memory": "1MiB"}, "memory"),
    ({"memory": "9" * 5000}, "memory"),
    ({"memory": None}, "memory"),
    ({"architecture": "arm64"}, "architecture"),
    ({"boot": []}, "boot"),
    ({"boot": ["hd", "hd"]}, "boot"),
    ({"boot_menu_timeout": -2}, "boot_menu_timeout"),
    ({"reboot_timeout": 65536}, "reboot_timeout"),
    ({"host": "a", "host_group": "b"}, "host_group"),
    ({"disks": "local/a"}, "disks"),
    ({"disks": [None]}, "disks.0"),
    ({"disks": [{"volume": "a/b"}, {"volume": "a/c", "bus": "floppy"}]}, "disks.1.bus"),
    ({"disks": [{}]}, "disks.0.volume"),
    (disk(image="x", volume="a/b"), "disks.0.volume"),
    (disk(device="cdrom", volume="a/b"), "disks.0.volume"),
    ({"disks": [{"volume": "a/b"}, {"volume": "a/b"}]}, "disks.1"),
    (disk(device="cdrom", bus="virtio"), "disks.0.bus"),
    ({"machine": "q35", **disk(bus="ide")}, "disks.0.bus"),
    (disk(bus="ide", read_only=True), "disks.0.read_only"),
    (disk(read_only=True, copy_on_read=True), "disks.0.copy_on_read"),
    (disk(device="cdrom", copy_on_read=True), "disks.0.copy_on_read"),
    (disk(removable=True), "disks.0.removable"),
    (disk(tray="open"), "disks.0.tray"),
    (disk(startup_policy="optional"), "disks.0.startup_policy"),
    (disk(bus="virtio", target="sda"), "disks.0.target"),
    (disk(bus="ide", target="hde"), "disks.0.target"),
    (disk(target="../a"), "disks.0.target"),
    ({"disks": [{"volume": "a/b", "target": "vda"}, {"volume": "a/c", "target": "vda"}]}, "disks"),
    ({"graphics": [{"type": "vnc"}, {"type": "vnc"}]}, "graphics"),
    ({"graphics": [{"type": "vnc", "port": 5901}, {"type": "spice", "port": 5901}]}, "graphics.1.port"),
    (spice(port=5901, tls_port=5901), "graphics.0.tls_port"),
    (spice(tls_port=22), "graphics.0.tls_port"),
    (spice(channels=[{"name": "main"}, {"name": "main"}]), "graphics.0.channels"),
    (spice(password="x" * 61), "graphics.0.password"),
    (vnc(port=80), "graphics.0.port"),
    (vnc(password="ninechars"), "graphics.0.password"),
    (vnc(password="密码密"), "graphics.0.password"),  # nine bytes: QEMU would cut the last one
    (vnc(password="a\x00b"), "graphics.0.password"),
    (vnc(password="a\nb"), "graphics.0.password"),
    (vnc(listen="everywhere"), "graphics.0.listen"),
    (vnc(listen="fe80::1%<x>"), "graphics.0.listen"),
    (vnc(password_valid_to="tomorrow"), "graphics.0.password_valid_to"),
    (vnc(password_valid_to="2030-02-30T12:00:00"), "graphics.0.password_valid_to"),
    (vnc(password_valid_to="٢٠٣٠-01-31T12:00:00"), "graphics.0.password_valid_to"),
    (vnc(jpeg="auto"), "graphics.0.jpeg"),
    ({"tuning_xml": "<domain><devices/></domain>"}, "tuning_xml"),
    ({"devices_xml": "<devices><hostdev/></devices>"}, "devices_xml"),
    ({"devices_xml": "\ud800"}, "devices_xml"),
]


@pytest.mark.parametrize(("values", "field"), REFUSED, ids=lambda value: value if isinstance(value, str) else "")
def test_what_breaks_a_rule_is_said_at_its_field(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_instance(values)
    assert refused.value.field == field
    text = refused.value.text()
    assert text.endswith(".")
    assert "{" not in text


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"memory": "999TiB"}, "The most is 64 TiB."),
        ({"memory": "1MiB"}, "The least is 16 MiB."),
        ({"vcpus": 256}, "The most is 255."),
    ],
)
def test_a_limit_is_said_as_people_write_it(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_instance(values)
    assert refused.value.text() == sentence


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"vcpus": 255, "memory": "1.5GiB"},
        {"boot": ["network", "fd", "cdrom", "hd"]},
        disk(device="cdrom"),
        disk(device="cdrom", image="debian", tray="open", startup_policy="requisite"),
        disk(bus="usb", removable=True),
        disk(bus="ide", target="hdd"),
        disk(bus="virtio", read_only=True),
        {"disks": [{"device": "cdrom", "image": "a"}, {"device": "cdrom", "image": "a"}]},
        vnc(password="12345678", listen="::", port=5900),
        vnc(password_valid_to="2032-02-29T23:59:59"),
        spice(password="密" * 20, tls_port=5901),
    ],
)
def test_what_the_manual_allows_is_taken(values: dict[str, Any]) -> None:
    parse_instance(values)


@pytest.mark.parametrize("bus", sorted(BUS_SLOTS))
def test_a_bus_takes_as_many_disks_as_it_has_places(bus: str) -> None:
    disks = [{"volume": f"local/{index}", "bus": bus} for index in range(min(BUS_SLOTS[bus], 16))]
    spec = parse_instance({"disks": disks})
    assert len(set(spec.targets())) == len(disks)
    if len(disks) < 16:
        with pytest.raises(InvalidInput) as refused:
            parse_instance({"disks": [*disks, {"volume": "local/last", "bus": bus}]})
        assert refused.value.field == f"disks.{len(disks)}.bus"


def test_device_names_are_given_around_those_that_were_chosen() -> None:
    spec = parse_instance(
        {"disks": [{"volume": "p/a"}, {"volume": "p/b", "target": "vda"}, {"volume": "p/c"}, {"device": "cdrom"}]}
    )
    assert spec.targets() == ("vdb", "vda", "vdc", "hda")


def test_a_q35_machine_has_its_cd_drive_on_sata() -> None:
    spec = parse_instance({"machine": "q35", "disks": [{"device": "cdrom"}]})
    assert spec.bus_of(spec.disks[0]) == "sata"


def test_a_configuration_survives_being_stored() -> None:
    spec = parse_instance({**disk(bus="scsi"), **vnc(port=5907), "memory": "512MiB"})
    stored = json.loads(json.dumps(spec.plain()))
    assert InstanceSpec.of(stored) == spec
    assert parse_instance(stored) == spec


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(sorted(InstanceSpec.names())), _JSON, max_size=4),
    st.lists(st.dictionaries(st.sampled_from(["volume", "image", "bus", "device", "target", "cache", "tray"]), _JSON)),
    st.lists(st.dictionaries(st.sampled_from(["type", "port", "listen", "password", "channels", "jpeg"]), _JSON)),
)
def test_whatever_is_written_ends_in_a_configuration_or_in_a_sentence(
    values: dict[str, Any], disks: list[dict[str, Any]], graphics: list[dict[str, Any]]
) -> None:
    for candidate in (values, {**values, "disks": disks}, {"graphics": graphics}):
        try:
            parse_instance(candidate)
        except InvalidInput as error:
            if not error.field or not error.text():
                raise AssertionError(candidate) from error
