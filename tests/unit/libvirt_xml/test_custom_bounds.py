"""Whatever custom XML is taken, libvirt survives it, and it costs the host next to nothing.

libvirt makes room for what a number says before it looks whether that is sensible: a controller with the index
2147483647 ended libvirtd, and with it every VM's management on the host. So everything the allow-list lets
through is tried on libvirt's own parser here, in a process with little memory that may die.
"""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import InvalidInput
from core.libvirt_xml import domain_xml
from core.libvirt_xml.custom import DEVICES, DOMAIN, Allowed, parse_custom
from tests.unit.libvirt_xml.test_domain import order

#: Bytes a process may use that parses one small domain.
MEMORY = 1 << 30

_PARSER = """
import base64, resource, sys
import libvirt
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
libvirt.registerErrorHandler(lambda *_: None, None)
connection = libvirt.open("test:///default")
print("ready", flush=True)
for line in sys.stdin:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        connection.defineXML(base64.b64decode(line).decode()).undefine()
        answer = "taken"
    except libvirt.libvirtError:
        answer = "refused"
    print(answer, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, flush=True)
"""


class Parser:
    """libvirt's parser of domains, in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PARSER, str(MEMORY)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def try_out(self, xml: str) -> tuple[str, int]:
        """``taken`` or ``refused``, and KiB by which the process grew; ``died`` when it ended."""
        assert self._process.stdin is not None
        self._process.stdin.write(base64.b64encode(xml.encode()).decode() + "\n")
        self._process.stdin.flush()
        answer, _, grown = self._line().partition(" ")
        return answer or "died", int(grown or 0)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()


@pytest.fixture(scope="module")
def parser() -> Iterator[Parser]:
    found = Parser()
    yield found
    found.close()


@st.composite
def documents(draw: st.DrawFn, tag: str, allowed: Allowed) -> str:
    """Any document of the allow-list, with every value its patterns allow."""
    names = draw(st.lists(st.sampled_from(sorted(allowed.attributes)), unique=True)) if allowed.attributes else []
    attributes = "".join(
        f' {name}="{_escaped(draw(st.from_regex(allowed.attributes[name], fullmatch=True)))}"' for name in names
    )
    text = _escaped(draw(st.from_regex(allowed.text, fullmatch=True))) if allowed.text else ""
    inner = ""
    if allowed.children:
        for child in draw(st.lists(st.sampled_from(sorted(allowed.children)), max_size=4, unique=True)):
            below = allowed.children[child]
            inner += "".join(draw(documents(child, below)) for _ in range(draw(st.integers(1, min(3, below.most)))))
    return f"<{tag}{attributes}>{text}{inner}</{tag}>"


def _escaped(value: str) -> str:
    return value.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


@pytest.mark.engine
@settings(deadline=None, max_examples=250, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(tuning=documents("domain", DOMAIN), devices=documents("devices", DEVICES))
def test_libvirt_survives_whatever_is_taken(parser: Parser, tuning: str, devices: str) -> None:
    xml = domain_xml(order({"tuning_xml": tuning, "devices_xml": devices}), accelerator="tcg")
    answer, grown = parser.try_out(xml)
    assert answer in ("taken", "refused")
    assert grown < 64 * 1024


@pytest.mark.parametrize(
    ("root", "inner"),
    [
        ("domain", "<iothreads>5000000</iothreads>"),
        ("domain", "<iothreads>0x7fffffff</iothreads>"),
        ("domain", "<cpu><topology sockets='4294967295' dies='1' cores='1' threads='1'/></cpu>"),
        ("devices", "<controller type='scsi' index='2147483647'/>"),
        ("devices", "<controller type='virtio-serial' index='0' ports='2147483647'/>"),
        ("devices", "<controller type='usb' index='0' ports='32'/>"),
        ("devices", "<video><model type='qxl' vram='4194303'/></video>"),
        ("devices", "<video><model type='qxl' vram64='0x3fffff'/></video>"),
        ("devices", "<video/>" * 3),
        ("devices", "<sound model='ich6'/>" * 9),
        ("devices", "<video><model type='qxl'/><model type='qxl'/></video>"),
        ("domain", "<cputune><vcpupin vcpu='0' cpuset='0'/></cputune>" * 2),
    ],
)
def test_more_than_any_machine_has_is_refused(root: str, inner: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_custom(f"<{root}>{inner}</{root}>", root)
    assert "{" not in refused.value.text()


@pytest.mark.parametrize(
    ("root", "inner"),
    [
        ("domain", "<iothreads>4</iothreads>"),
        ("domain", "<cpu mode='host-passthrough'><topology sockets='1' dies='1' cores='4' threads='2'/></cpu>"),
        ("domain", "<cputune><shares>2048</shares>"
                   + "".join(f"<vcpupin vcpu='{cpu}' cpuset='{cpu}'/>" for cpu in range(64)) + "</cputune>"),
        ("domain", "<clock offset='utc'><timer name='rtc'/><timer name='hpet' present='no'/></clock>"),
        ("domain", "<memtune><hard_limit unit='GiB'>4</hard_limit></memtune>"),
        ("devices", "<controller type='usb' index='0' model='qemu-xhci' ports='15'/>"),
        ("devices", "<controller type='scsi' index='0' model='virtio-scsi'><driver queues='8'/></controller>"),
        ("devices", "<video><model type='qxl' ram='65536' vram='131072' vgamem='16384' heads='4'/></video>"),
    ],
)  # fmt: skip
def test_what_machines_have_is_taken(root: str, inner: str) -> None:
    assert parse_custom(f"<{root}>{inner}</{root}>", root) is not None


def test_pins_of_several_processors_stay_beside_each_other() -> None:
    pins = "".join(f"<vcpupin vcpu='{cpu}' cpuset='{cpu}'/>" for cpu in range(4))
    spec = {"vcpus": 4, "tuning_xml": f"<domain><cputune>{pins}</cputune></domain>"}
    assert domain_xml(order(spec), accelerator="tcg").count("<vcpupin") == 4
