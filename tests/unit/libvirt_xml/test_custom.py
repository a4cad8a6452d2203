"""Custom XML may tune a VM; it may not reach the host."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidInput
from core.libvirt_xml.custom import DEVICES, DOMAIN, Allowed, parse_custom

REFUSED_DEVICES = (
    "<hostdev mode='subsystem' type='pci'/>",
    "<disk type='file'><source file='/etc/shadow'/></disk>",
    "<filesystem type='mount'><source dir='/'/></filesystem>",
    "<interface type='ethernet'/>",
    "<serial type='file'><source path='/etc/passwd'/></serial>",
    "<serial type='pty'><source path='/dev/sda'/></serial>",
    "<channel type='unix'><source mode='bind' path='/tmp/x'/></channel>",
    "<channel type='pipe'/>",
    "<rng model='virtio'><backend model='random'>/dev/sda</backend></rng>",
    "<emulator>/bin/sh</emulator>",
    "<redirdev bus='usb' type='tcp'/>",
    "<shmem name='x'/>",
    "<tpm model='tpm-tis'><backend type='passthrough'><device path='/dev/tpm0'/></backend></tpm>",
    "<input type='passthrough' bus='virtio'><source evdev='/dev/input/event0'/></input>",
    "<video><driver name='vhostuser'/></video>",
    "<graphics type='vnc' listen='0.0.0.0'/>",
    "<memballoon model='none'/>",
    "<watchdog model='i6300esb' action='dump'/>",
    "<nvram/>",
    "<vsock/>",
)
REFUSED_DOMAIN = (
    "<devices/>",
    "<os><loader>/etc/passwd</loader></os>",
    "<os><kernel>/boot/vmlinuz</kernel></os>",
    "<seclabel type='none'/>",
    "<metadata/>",
    "<memory>1</memory>",
    "<vcpu>999</vcpu>",
    "<qemu:commandline><qemu:arg value='-S'/></qemu:commandline>",
    "<name>other</name>",
    "<uuid>x</uuid>",
    "<on_crash>preserve</on_crash>",
    "<launchSecurity type='sev'/>",
    "<memoryBacking><source type='file'/></memoryBacking>",
    "<cputune><vcpupin vcpu='0' cpuset='0' extra='1'/></cputune>",
)


@pytest.mark.parametrize("inner", REFUSED_DEVICES)
def test_devices_of_the_host_are_refused(inner: str) -> None:
    with pytest.raises(InvalidInput):
        parse_custom(f"<devices>{inner}</devices>", "devices")


@pytest.mark.parametrize("inner", REFUSED_DOMAIN)
def test_what_is_decided_elsewhere_is_refused(inner: str) -> None:
    with pytest.raises(InvalidInput):
        parse_custom(f"<domain>{inner}</domain>", "domain")


@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE d [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><domain>&a;</domain>",
        "<!DOCTYPE d [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><domain/>",
        "<?php x?><domain/>",
        "<domain>" * 40 + "</domain>" * 40,
        "<domain>" + "<features/>" * 6000 + "</domain>",
        "<domain>" + "x" * 70000 + "</domain>",
        "<domain",
        "<other/>",
        "<domain a='1'/>",
        "<domain>words</domain>",
        "<domain><features/>words</domain>",
        "\ud800<domain/>",
    ],
)
def test_xml_that_is_not_needed_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_custom(text, "domain")


def test_the_manuals_examples_are_taken() -> None:
    # Manual table 11-11, but for the path of the pseudo-terminal, which is the host's to choose.
    assert parse_custom("<domain><features><acpi/></features></domain>", "domain") is not None
    devices = (
        '<devices><serial type="pty"><target port="0"/></serial><video><model type="vmvga" vram="10240" heads="1"/>'
        '<address type="pci" domain="0x0000" bus="0x00" slot="0x02" function="0x0"/></video></devices>'
    )
    assert parse_custom(devices, "devices") is not None
    assert parse_custom("  \n", "domain") is None


_NAMES = st.sampled_from(
    [
        "domain",
        "devices",
        "features",
        "cpu",
        "model",
        "video",
        "source",
        "hostdev",
        "disk",
        "path",
        "file",
        "qemu:arg",
        "x",
    ]
)
_VALUES = st.one_of(
    st.sampled_from(["/etc/passwd", "../x", "pty", "on", "1"]), st.text(alphabet="ab/.&<'\"", max_size=8)
)


@st.composite
def _xml(draw: st.DrawFn, depth: int = 0) -> str:
    tag = draw(_NAMES)
    escaped = draw(_VALUES).replace("&", "&amp;").replace("<", "&lt;").replace("'", "&apos;")
    attribute = f" {draw(_NAMES)}='{escaped}'" if draw(st.booleans()) else ""
    inner = "".join(draw(st.lists(_xml(depth=depth + 1), max_size=2))) if depth < 4 else ""
    return f"<{tag}{attribute}>{inner}</{tag}>"


@settings(deadline=None, max_examples=200)
@given(root=st.sampled_from(["domain", "devices"]), inner=st.lists(_xml(), max_size=3), noise=st.text(max_size=10))
def test_whatever_is_taken_names_no_path(root: str, inner: list[str], noise: str) -> None:
    for text in (f"<{root}>{''.join(inner)}</{root}>", noise):
        try:
            element = parse_custom(text, root)
        except InvalidInput:
            continue
        for node in element.iter() if element is not None else ():
            assert not any("/" in value or ".." in value for value in node.attrib.values())
            assert "/" not in (node.text or "")


def test_no_allowed_pattern_lets_a_path_through() -> None:
    import re

    def patterns(allowed: Allowed) -> list[tuple[str, str]]:
        own = [(name, pattern) for name, pattern in allowed.attributes.items()]
        own.append(("text", allowed.text))
        for child in allowed.children.values():
            own += patterns(child)
        return own

    for name, pattern in patterns(DOMAIN) + patterns(DEVICES):
        if name == "timezone":  # names such as Europe/Berlin; libvirt hands it to nobody but its own table
            continue
        for path in ("/etc/passwd", "../../x", "/dev/sda", "file:///x"):
            assert not re.fullmatch(pattern, path), (name, pattern)
