"""What the measurements of starting and sampling share: a cloud with many tiny VMs, and the same domains for virsh."""

from __future__ import annotations

import os
import re
import time
import uuid as uuid_module
from collections.abc import Iterable, Sequence
from typing import Any

import libvirt

from core.rpc.backend import HostdBackend, call_each
from core.rpc.client import Client
from core.rpc.signature import Signer, load_key
from core.rules.many import AT_ONCE
from tests.lab.cloud import ZHAO, Cloud
from tests.lab.host import LabHost
from tests.lab.namespaces import wait_until

TICKS = os.sysconf("SC_CLK_TCK")


def backend(host: LabHost, account: str = ZHAO[0], password: str = ZHAO[1]) -> HostdBackend:
    """A session at a host's hostd, as the console has."""
    made = HostdBackend(Client(str(host.home / "hostd.sock"), Signer(load_key(host.home / "cluster.key"))))
    made.login(account, password)
    return made


def ended(session: HostdBackend, tasks: Iterable[str], seconds: float = 300.0) -> list[dict[str, Any]]:
    """Wait until tasks have ended; their rows."""
    wanted = tuple(tasks)
    give_up = time.monotonic() + seconds
    since = -1
    while True:
        answer = session.wait(since=since, tasks=wanted)
        rows: list[dict[str, Any]] = answer["tasks"]
        if all(row["state"] in ("done", "failed", "cancelled") for row in rows):
            failed = [row for row in rows if row["state"] != "done"]
            assert not failed, failed[:3]
            return rows
        assert time.monotonic() < give_up, "tasks do not end"
        since = answer["revision"]


def start(session: HostdBackend, name: str) -> str:
    """Ask for a start; the task's UUID."""
    return str(session.call("vm.start", vm=name)["task"])


def ask_all(session: HostdBackend, verb: str, names: Sequence[str], **arguments: Any) -> list[dict[str, Any]]:
    """Ask for the same of many VMs, as console and commands do; the answers."""
    answers: list[dict[str, Any]] = []
    for begin in range(0, len(names), AT_ONCE):
        for end in call_each(session, f"vm.{verb}", "vm", names[begin : begin + AT_ONCE], arguments):
            assert not isinstance(end, Exception), end
            answers.append(end)
    return answers


def twins(cloud: Cloud, name: str, count: int) -> list[str]:
    """Define ``count`` domains in libvirt that equal the running VM ``name`` but for their identity; their names."""
    host = cloud.lab[0]
    connection = host.libvirt()
    try:
        domain = connection.lookupByUUIDString(cloud.vm(name)["uuid"])
        xml = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        # hostd must not take them for its own.
        xml = re.sub(r"<metadata>.*?</metadata>", "", xml, flags=re.DOTALL)
        names = [f"twin-{number}" for number in range(count)]
        for twin in names:
            own = re.sub(r"<name>.*?</name>", f"<name>{twin}</name>", xml)
            own = re.sub(r"<uuid>.*?</uuid>", f"<uuid>{uuid_module.uuid4()}</uuid>", own)
            connection.defineXML(own)
    finally:
        connection.close()
    return names


def remove(host: LabHost, names: Iterable[str]) -> None:
    """End and forget defined domains."""
    connection = host.libvirt()
    try:
        for name in names:
            domain = connection.lookupByName(name)
            if domain.isActive():
                domain.destroy()
            domain.undefine()
    finally:
        connection.close()


def cpu_seconds(pids: Iterable[int]) -> float:
    """The processor time that processes have used so far, in seconds."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def quiet(host: LabHost, seconds: float = 3.0) -> None:
    """Wait until the host's processes have come to rest, so that nothing earlier is measured."""
    last = [cpu_seconds(host.world.processes()), time.monotonic()]

    def calm() -> bool:
        if time.monotonic() - last[1] < seconds:
            return False
        now = cpu_seconds(host.world.processes())
        used, last[0], last[1] = now - last[0], now, time.monotonic()
        return used < 0.1 * seconds

    wait_until(calm, "a quiet host", 120)
