"""The custom XML of an instance (manual table 11-5): what may stand in it, and how it joins the domain.

An allow-list, because free XML is the host's devices and files in the guest's hands (CloudStack
CVE-2024-29008). Whatever is not named here is refused by name: host devices, files, sockets, network,
QEMU's command line, security labels, boot loaders. hostd checks again before it hands anything to libvirt.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from xml.etree.ElementTree import Element

from core.errors import InvalidInput
from core.i18n import N_
from core.libvirt_xml.reader import parse_xml

MAX_LENGTH = 64 * 1024

_WORD = r"[A-Za-z0-9._+-]{1,64}"
_NUMBER = r"[0-9]{1,12}|0x[0-9a-fA-F]{1,16}"
_SIGNED = r"-?[0-9]{1,18}"
_SWITCH = r"on|off|yes|no"
_PLAIN = r"[\w .,:+()\[\]-]{0,256}"
_CPUS = r"[0-9,^-]{1,256}"
# libvirt makes room for what a number says before it asks whether that is sensible: an index of 2147483647 ends
# libvirtd itself, some million iothreads take gigabytes of the host. Numbers are bounded to what machines have.
_TWO_DIGITS = r"[0-9]{1,2}"
_THREE_DIGITS = r"[0-9]{1,3}"
_PORTS = r"[1-9]|[12][0-9]|3[01]"
_IOTHREADS = r"[1-9]|[1-5][0-9]|6[0-4]"
# KiB, up to 137 MiB: a graphics card's memory is the host's, and no quota counts it.
_VIDEO_MEMORY = r"[0-9]{1,5}|1[0-3][0-9]{4}"


@dataclass(frozen=True)
class Allowed:
    """What an element may have: attributes and text by pattern, children by tag; ``most`` of it side by side."""

    attributes: Mapping[str, str] = field(default_factory=dict)
    children: Mapping[str, Allowed] = field(default_factory=dict)
    text: str = ""
    most: int = 1


def _plain(**attributes: str) -> Allowed:
    return Allowed(attributes)


def _repeated(most: int, allowed: Allowed) -> Allowed:
    return replace(allowed, most=most)


_STATE = _plain(state=_SWITCH)
_ADDRESS = _plain(
    type="pci|usb|drive|virtio-serial|ccid|isa",
    domain=r"0|0x0{1,4}",
    bus=r"[0-9]|0x0?[0-9a-fA-F]",
    slot=r"[0-9]{1,2}|0x[0-9a-fA-F]{1,2}",
    function=r"[0-7]|0x0?[0-7]",
    multifunction=_SWITCH,
    controller=_TWO_DIGITS,
    target=_TWO_DIGITS,
    unit=_TWO_DIGITS,
    port=r"[0-9.]{1,16}",
)
_SIZE = Allowed({"unit": _WORD}, text=_NUMBER)
_COUNT = Allowed(text=_SIGNED)
_FEATURES = Allowed(
    children={
        "acpi": _plain(default=_SWITCH, toggle=_SWITCH),
        "apic": _plain(default=_SWITCH, toggle=_SWITCH, eoi=_SWITCH),
        "pae": Allowed(),
        "hap": _STATE,
        "viridian": Allowed(),
        "privnet": Allowed(),
        "pvspinlock": _STATE,
        "vmport": _STATE,
        "pmu": _STATE,
        "smm": _STATE,
        "kvm": Allowed(children=dict.fromkeys(("hidden", "hint-dedicated", "poll-control", "pv-ipi"), _STATE)),
        "hyperv": Allowed(
            {"mode": "passthrough|custom"},
            {
                name: _plain(state=_SWITCH, retries=_NUMBER, value=_PLAIN)
                for name in (
                    "relaxed",
                    "vapic",
                    "spinlocks",
                    "vpindex",
                    "runtime",
                    "synic",
                    "stimer",
                    "reset",
                    "vendor_id",
                    "frequencies",
                    "reenlightenment",
                    "tlbflush",
                    "ipi",
                    "evmcs",
                )
            },
        ),
    }
)
_CPU = Allowed(
    {
        "mode": "custom|host-model|host-passthrough|maximum",
        "match": "minimum|exact|strict",
        "check": "none|partial|full",
    },
    {
        "model": Allowed({"fallback": "allow|forbid"}, text=_WORD),
        "vendor": Allowed(text=_WORD),
        "topology": _plain(sockets=_THREE_DIGITS, dies=_THREE_DIGITS, cores=_THREE_DIGITS, threads=_THREE_DIGITS),
        "feature": _repeated(128, _plain(policy="force|require|optional|disable|forbid", name=_WORD)),
        "cache": _plain(mode="emulate|passthrough|disable", level="3"),
    },
)
_CLOCK = Allowed(
    {
        "offset": "utc|localtime|timezone|variable",
        "timezone": r"[A-Za-z0-9_/+-]{1,64}",
        "adjustment": _SIGNED,
        "basis": "utc|localtime",
    },
    {
        "timer": _repeated(
            8,
            _plain(
                name="rtc|pit|hpet|tsc|kvmclock|hypervclock|platform",
                present=_SWITCH,
                tickpolicy="delay|catchup|merge|discard",
                track="boot|guest|wall",
                frequency=_NUMBER,
                mode="auto|native|emulate|paravirt|smpsafe",
            ),
        )
    },
)
_SYSINFO = Allowed(
    {"type": "smbios"},
    {
        block: Allowed(children={"entry": Allowed({"name": _WORD}, text=_PLAIN, most=32)})
        for block in ("bios", "system", "baseBoard", "chassis", "oemStrings")
    },
)

DOMAIN = Allowed(
    children={
        "features": _FEATURES,
        "cpu": _CPU,
        "clock": _CLOCK,
        "memtune": Allowed(children=dict.fromkeys(("hard_limit", "soft_limit", "swap_hard_limit"), _SIZE)),
        "cputune": Allowed(
            children={
                **dict.fromkeys(("shares", "period", "quota", "emulator_period", "emulator_quota"), _COUNT),
                **dict.fromkeys(("global_period", "global_quota"), _COUNT),
                "vcpupin": _repeated(255, _plain(vcpu=_THREE_DIGITS, cpuset=_CPUS)),
                "emulatorpin": _plain(cpuset=_CPUS),
            }
        ),
        "blkiotune": Allowed(children={"weight": _COUNT}),
        "iothreads": Allowed(text=_IOTHREADS),
        "pm": Allowed(children={name: _plain(enabled=_SWITCH) for name in ("suspend-to-mem", "suspend-to-disk")}),
        "sysinfo": _SYSINFO,
        "memoryBacking": Allowed(children={"hugepages": Allowed(), "nosharepages": Allowed()}),
    }
)
_DEVICES = {
    "video": Allowed(
        children={
            "model": Allowed(
                {
                    "type": "vga|cirrus|vmvga|qxl|virtio|bochs|none|ramfb",
                    "ram": _VIDEO_MEMORY,
                    "vram": _VIDEO_MEMORY,
                    "vram64": _VIDEO_MEMORY,
                    "vgamem": _VIDEO_MEMORY,
                    "heads": "[1-9]|1[0-6]",
                    "primary": _SWITCH,
                },
                {
                    "resolution": _plain(x="[0-9]{1,5}", y="[0-9]{1,5}"),
                    "acceleration": _plain(accel3d="no", accel2d=_SWITCH),
                },
            ),
            "address": _ADDRESS,
        }
    ),
    "sound": Allowed(
        {"model": "ac97|es1370|ich6|ich9|pcspk|sb16|usb"},
        {"address": _ADDRESS, "codec": _repeated(2, _plain(type=_WORD))},
    ),
    "watchdog": Allowed(
        {"model": "i6300esb|ib700|diag288|itco", "action": "reset|shutdown|poweroff|pause|none|inject-nmi"},
        {"address": _ADDRESS},
    ),
    "input": Allowed({"type": "mouse|tablet|keyboard", "bus": "ps2|usb|virtio"}, {"address": _ADDRESS}),
    "controller": Allowed(
        {
            "type": "usb|scsi|ide|sata|virtio-serial|ccid|fdc",
            "index": _TWO_DIGITS,
            "model": _WORD,
            "ports": _PORTS,
            "vectors": _THREE_DIGITS,
        },
        {
            "address": _ADDRESS,
            "driver": _plain(queues=_THREE_DIGITS, iothread=_TWO_DIGITS),
            "master": _plain(startport=_TWO_DIGITS),
        },
    ),
    "hub": Allowed({"type": "usb"}, {"address": _ADDRESS}),
    "panic": Allowed({"model": "isa|hyperv|pseries"}, {"address": _ADDRESS}),
    "channel": Allowed(
        {"type": "spicevmc|unix"},
        {
            "target": _plain(
                type="virtio",
                name=r"(com\.redhat\.spice|org\.qemu\.guest_agent|org\.spice-space)\.[A-Za-z0-9.]{1,32}",
            ),
            "address": _ADDRESS,
        },
    ),
    "serial": Allowed(
        {"type": "pty"},
        {
            "target": Allowed(
                {"type": "isa-serial|usb-serial|pci-serial", "port": _TWO_DIGITS}, {"model": _plain(name=_WORD)}
            ),
            "address": _ADDRESS,
        },
    ),
}
# Each graphics card takes memory of the host; of the others nobody needs more than these.
DEVICES = Allowed(children={tag: _repeated(2 if tag == "video" else 8, allowed) for tag, allowed in _DEVICES.items()})
_ROOTS = {"domain": DOMAIN, "devices": DEVICES}


def parse_custom(text: str, root: str) -> Element | None:
    """Understand and check custom XML.

    Args:
        text: the document, or nothing.
        root: the root element it must have: ``domain`` or ``devices``.

    Returns:
        The checked root element; None when the text is empty.

    Raises:
        InvalidInput: not XML, or an element, attribute or value that is not allowed; names it.
    """
    if not text.strip():
        return None
    element = parse_xml(text, max_length=MAX_LENGTH)
    if element.tag != root:
        raise InvalidInput(N_("The XML must be inside the element <{root}>."), root=root)
    _check(element, _ROOTS[root], root)
    return element


def check_custom(text: str, *, root: str, field: str) -> None:
    """As :func:`parse_custom`, with the field's name in the error."""
    try:
        parse_custom(text, root)
    except InvalidInput as error:
        error.field = field
        raise


def _check(element: Element, allowed: Allowed, path: str) -> None:
    for name, value in element.attrib.items():
        pattern = allowed.attributes.get(name)
        if pattern is None:
            raise InvalidInput(N_("The attribute {name} is not allowed in <{path}>."), name=name, path=path)
        if not re.fullmatch(pattern, value):
            raise InvalidInput(
                N_("{value} is not allowed for {name} in <{path}>."), value=value[:80], name=name, path=path
            )
    if not re.fullmatch(allowed.text, (element.text or "").strip()):
        raise InvalidInput(N_("The text in <{path}> is not allowed."), path=path)
    seen: Counter[str] = Counter()
    for child in element:
        below = allowed.children.get(child.tag)
        if below is None:
            raise InvalidInput(
                N_("The element <{tag}> is not allowed in <{path}>."),
                remedy=N_(
                    "Disks, screens and networks have panels of their own; host devices and files are never given."
                ),
                tag=child.tag[:80],
                path=path,
            )
        if (child.tail or "").strip():
            raise InvalidInput(N_("The text in <{path}> is not allowed."), path=path)
        seen[child.tag] += 1
        if seen[child.tag] > below.most:
            raise InvalidInput(
                N_("There are more than {limit} <{tag}> in <{path}>."), limit=below.most, tag=child.tag, path=path
            )
        _check(child, below, f"{path}/{child.tag}")


def merge(into: Element, custom: Element) -> None:
    """Join checked custom XML into a domain: what is there already is changed, the rest is added.

    Attributes replace; elements that may stand more than once (features, timers, pins) are added.
    """
    for child in custom:
        same = into.find(child.tag)
        if same is None:
            into.append(child)
            continue
        same.attrib.update(child.attrib)
        if (child.text or "").strip():
            same.text = child.text
        for grandchild in child:
            for old in same.findall(grandchild.tag):
                if old.get("name") == grandchild.get("name"):
                    same.remove(old)
            same.append(grandchild)
