"""What `show -o yaml` prints makes the same again by `add -f`, of every kind; what it does not take over is said."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from sqlalchemy import update

from core.model import Image
from screens import registry
from tests.fakes import rack
from tests.fakes.office import GIB, PASSWORD, Office, Person
from tests.unit.cli.conftest import Dosvm

MIB = 1024**2
#: What no two have in common, and what comes to be by itself.
_OWN = {
    *("uuid", "created", "version", "name", "reference", "account", "directory", "path", "file", "usage", "xml"),
    *("state", "instances", "vms", "vcpu_seconds"),
}


@pytest.fixture
def web(office: Office) -> Person:
    return rack.web(office)


def _project_group(office: Office, web: Person) -> str:
    office.sysadm("project-group.add", name="one", directory="/srv/vm/one", description="two\nlines: [red]")
    return "one"


def _project(office: Office, web: Person) -> str:
    office.sysadm("project.edit", project="web", description="Web shop")
    return "web"


def _user(office: Office, web: Person) -> str:
    more = {"display_name": "赵小明", "phone": "028-1", "email": "z@example.com", "address": "成都", "description": "x"}
    office.sysadm("user.add", account="zhao", project="web", new_password=PASSWORD, own_password=PASSWORD, **more)
    office.sysadm("user.freeze", user="zhao")
    return "zhao"


def _host_group(office: Office, web: Person) -> str:
    office.sysadm("host-group.edit", host_group="all", description="All of them")
    return "all"


def _pool(office: Office, web: Person) -> str:
    office.sysadm("pool.edit", pool="local", description="On the disks")
    return "local"


def _secret(office: Office, web: Person) -> str:
    office.sysadm(
        "secret.add", name="key", display_name="Key", kind="volume", usage="disks", project="web", value="Correct-horse"
    )
    return "key"


def _volume(office: Office, web: Person) -> str:
    _secret(office, web)
    more = {"owner": 0, "group": 107, "compat": "1.1", "lazy_refcounts": True, "description": "x", "secret": "key"}
    web("volume.add", name="disk1", pool="local", capacity=GIB, display_name="盘", mode="640", **more)
    rack.settle(office)
    return "local/disk1"


def _image(office: Office, web: Person) -> str:
    more = {"format": "qcow2", "architecture": "i686", "shared": False, "read_only": False, "description": "x"}
    web("image.add", name="one", file="one.img", **more)
    office.services.database.write(lambda s: s.execute(update(Image).values(state="present")))
    rack.settle(office)
    return "one"


def _instance(office: Office, web: Person) -> str:
    disk = rack.disk(office, web, "disk1")
    rack.instance(
        web,
        "shop",
        display_name="商店",
        vcpus=3,
        boot=["cdrom", "hd"],
        tablet=False,
        disks=[{"volume": disk, "read_only": True, "cache": "none"}, {"device": "cdrom"}],
        graphics=[{"type": "vnc", "password": "secret-1"}],
        host_group="all",
    )
    web("instance.disable", instance="shop")
    return "shop"


def _vm(office: Office, web: Person) -> str:
    rack.instance(web, "shop")
    web("vm.add", name="shop-1", instance="shop")
    return "shop-1"


#: Kind -> what makes one with nothing left as it is by itself; options that its twin needs, as it cannot have the same;
#: and what is not taken over, which must be said.
KINDS: dict[str, tuple[Callable[[Office, Person], str], list[str], set[str]]] = {
    "project-group": (_project_group, ["--directory", "/srv/vm/two"], set()),
    "project": (
        _project,
        [],
        {
            *("max_instances", "max_vcpus", "max_memory", "max_disk", "max_images", "max_image_bytes"),
            *("max_snapshots", "pools", "host_groups", "admins"),
        },
    ),
    "user": (_user, ["--new-password-file", "PASSWORD"], {"frozen"}),
    "host-group": (_host_group, [], set()),
    "pool": (_pool, ["--path", "/srv/dosvm-test/twin"], set()),
    "secret": (_secret, ["--usage", "twin", "--value-file", "PASSWORD"], set()),
    "volume": (_volume, [], set()),
    "image": (_image, ["--file", "two.img"], set()),
    "instance": (_instance, [], {"enabled", "passwords"}),
    "vm": (_vm, [], set()),
}


@pytest.mark.parametrize("spec", [s for s in registry.resources() if any(a.verb == "add" for a in s.actions)])
def test_what_is_shown_makes_the_same_again(
    dosvm: Dosvm, office: Office, web: Person, file: Callable[[str, str], str], spec: Any
) -> None:
    make, more, lost = KINDS[spec.name]
    name = make(office, web)
    who = "web-admin" if spec.name in ("volume", "image", "instance", "vm") else "sysadm"
    shown = dosvm(spec.name, "show", name, "-o", "yaml", who=who).out
    before = yaml.safe_load(shown)
    path = file("shown.yaml", shown)
    password = file("new.pw", "Another-secret-1")
    words = [password if word == "PASSWORD" else word for word in more]
    done = dosvm(spec.name, "add", "twin", "-f", path, "--no-wait", *words, who=who)
    assert done.code == 0, done.err
    rack.settle(office)
    pool = "local/" if spec.name == "volume" else ""
    after = yaml.safe_load(dosvm(spec.name, "show", f"{pool}twin", "-o", "yaml", who=who).out)
    told = {key for keys in re.findall(r"Not taken over: ([^.]*)\.", done.err) for key in keys.split(", ")}
    assert told == lost
    lost = lost | ({"projects"} if spec.name == "project-group" else set())  # these are put into it
    different = {key for key in before if before[key] != after.get(key)} - _OWN - lost
    assert not different, {key: (before[key], after.get(key)) for key in different}


def test_it_is_said_who_takes_the_rest(
    dosvm: Dosvm, office: Office, web: Person, file: Callable[[str, str], str]
) -> None:
    """Of a project's quotas nothing was said, nor that the system administrator's volume is of no project."""
    shown = file("web.yaml", dosvm("project", "show", "web", "-o", "yaml").out)
    done = dosvm("project", "add", "twin", "-f", shown, "--group", "web-group")
    assert re.search(r"Not taken over: .*max_disk.*\. `dosvm project configure` takes that\.", done.err)
    assert dosvm("project", "configure", "twin", "-f", shown).code == 1, "admins of web are not taken along"
    web("volume.add", name="disk1", pool="local", capacity=GIB)
    rack.settle(office)
    shown = file("disk.yaml", dosvm("volume", "show", "local/disk1", "-o", "yaml").out)
    done = dosvm("volume", "add", "twin", "-f", shown, "--no-wait")
    assert "Not taken over: project. `dosvm volume accept` takes that." in done.err
    assert json.loads(dosvm("volume", "show", "local/twin", "-o", "json").out)["project"] == ""
