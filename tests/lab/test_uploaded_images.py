"""VMs boot from images that came by an upload, from this machine and over TLS, and from one that was registered."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.cloud import ZHAO, Cloud
from tests.lab.host import DOSVM
from tests.lab.lab import SAMPLE, Lab
from tests.lab.namespaces import wait_until
from tests.lab.test_tls import Safe

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.timeout(300)]
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def safe(two_hosts: Lab) -> Iterator[Safe]:
    """A cloud whose hosts have TLS on, and a machine with a console only."""
    made = Safe(Cloud(two_hosts))
    for host in two_hosts.hosts:
        made.switch(host, True)
    made.cloud.wait_for_hosts()
    made.point(made.a)
    yield made
    two_hosts.mend()


def boots(cloud: Cloud, image: str) -> None:
    """A VM with the image as its CD greets."""
    a = cloud.lab[0]
    disk = ["--disk", f"device=cdrom,image={image},bus=sata"]
    cloud.zhao("instance", "add", image, "--vcpus", "1", "--memory", "128MiB", "--boot", "cdrom", *disk)
    uuid = cloud.add_vm(image, instance=image, host=a)
    with a.serial(uuid) as console:
        console.expect("DOSVM sample guest", 150)
    cloud.zhao("vm", "stop", image, "--force", "--wait")
    cloud.zhao("vm", "delete", image, "--yes")


def image_of(cloud: Cloud, name: str) -> dict[str, Any]:
    row: dict[str, Any] = cloud.zhao("image", "show", name, "-o", "json").data
    return row


@pytest.mark.parametrize("form", ["iso", "qcow2", "registered"])
def test_a_vm_boots_from_it(safe: Safe, form: str) -> None:
    cloud, a = safe.cloud, safe.a
    if form == "registered":
        (a.srv / "acme/own.iso").write_bytes(SAMPLE.read_bytes())
        cloud.zhao("image", "add", form, "--file", "own.iso", "--format", "iso")
    else:
        source = a.srv / f"mine.{form}"
        source.write_bytes(SAMPLE.read_bytes())
        if form == "qcow2":
            subprocess.run(["qemu-img", "convert", "-O", "qcow2", str(SAMPLE), str(source)], check=True)
        cloud.zhao("image", "upload", f"/srv/mine.{form}", form, "--format", form)
        assert cloud.summed(form)["digest"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert image_of(cloud, form)["state"] == "present"
    boots(cloud, form)


def test_an_upload_over_tls_goes_on_after_its_sender_was_killed(safe: Safe) -> None:
    """From a machine that has a certificate only; what had arrived is no image yet, and is not sent again."""
    cloud, a, b = safe.cloud, safe.a, safe.b
    source = b.srv / "far.raw"
    with source.open("wb") as file:
        for number in range(600):
            file.write(hashlib.sha256(str(number).encode()).digest() * (MIB // 32))
    words = [str(DOSVM), "image", "upload", "/srv/far.raw", "far", "--format", "raw"]
    who = {"DOSVM_HOME": str(safe.desk), "DOSVM_ACCOUNT": ZHAO[0], "DOSVM_PASSWORD": ZHAO[1]}
    sender = b.world.spawn(words, b.environment(who), b.root / "sender.log")

    def arrived() -> int:
        return sum(part.stat().st_size for part in (a.srv / "acme").glob(".*.part"))

    wait_until(lambda: arrived() > 8 * MIB, "some of it has arrived", 60, a.logs)
    sender.kill(signal.SIGKILL)
    before = arrived()
    assert 0 < before < source.stat().st_size, "it was killed in the middle"
    assert "far" not in json.dumps(cloud.zhao("image", "list", "--filter", "state=present", "-o", "json").data)
    safe.point(b)
    elsewhere = safe.console(*words[1:], account=ZHAO, check=False)
    assert (elsewhere.code, elsewhere.out) == (1, "")
    assert f"begun on host {a.name}" in elsewhere.err
    assert list((b.srv / "acme").glob(".*.part")) == []
    safe.point(a)
    safe.console(*words[1:], account=ZHAO)
    row = image_of(cloud, "far")
    assert (row["state"], row["size"]) == ("present", source.stat().st_size)
    assert row["digest"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert Path(a.srv / "acme/far.raw").read_bytes() == source.read_bytes()
    assert list((a.srv / "acme").glob(".*.part")) == []
