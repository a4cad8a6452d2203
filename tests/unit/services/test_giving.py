"""Volumes of no project are given to one: with its quota, its rights, and never away from who uses them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from core.errors import Conflict, InUse, InvalidInput, NotFound, PermissionDenied, QuotaExceeded, Refused
from core.model import Volume
from tests.fakes import rack
from tests.fakes.office import GIB, Office, Person


@pytest.fixture
def web(office: Office) -> Person:
    """The admin of a project with a pool, and in it the volume ``found`` of no project, accepted long ago."""
    admin = rack.web(office)
    office.sysadm("volume.add", name="found", pool="local", capacity=GIB)
    rack.settle(office)
    return admin


@pytest.fixture
def shop(office: Office, web: Person) -> Person:
    """The admin of another project with the same pool."""
    admin = office.project("shop", admin="shop-admin")
    office.sysadm("project.configure", project="shop", add_pools=["local"])
    return admin


def give(office: Office, project: str | None = "web", volume: str = "local/found", **more: Any) -> dict[str, Any]:
    row: dict[str, Any] = office.sysadm("volume.give", volume=volume, project=project, **more)
    return row


def test_it_is_the_projects_from_then_on_and_can_be_taken_back(office: Office, web: Person) -> None:
    with pytest.raises(PermissionDenied):
        web("volume.delete", volume="local/found")
    before = office.sysadm("project.show", project="web")["used_disk"]
    assert give(office)["project"] == "web"
    assert web("volume.show", volume="local/found")["own"]
    assert office.sysadm("project.show", project="web")["used_disk"] == before + GIB
    log = office.sysadm("log.list", filters={"action": "Give to project"})["rows"][0]
    assert (log["target"], log["contents"]["changes"]) == ("local/found", {"project": ["", "web"]})
    assert give(office, "")["project"] == ""
    assert office.sysadm("project.show", project="web")["used_disk"] == before
    assert not web("volume.show", volume="local/found")["own"]


def test_only_the_system_administrator_gives(office: Office, web: Person) -> None:
    with pytest.raises(PermissionDenied):
        web("volume.give", volume="local/found", project="web")
    with pytest.raises(InvalidInput) as nobody:
        give(office, None)
    assert nobody.value.field == "project"
    with pytest.raises(NotFound):
        give(office, "nowhere")


def test_what_gives_the_same_again_changes_nothing(office: Office, web: Person) -> None:
    row = give(office)
    assert give(office)["version"] == row["version"]
    with pytest.raises(Conflict):
        give(office, "", version=row["version"] - 1)


def test_quota_and_pool_of_the_project_are_held(office: Office, web: Person) -> None:
    office.project("poor")
    with pytest.raises(Refused, match="not given to that project"):
        give(office, "poor")
    office.sysadm("project.configure", project="web", max_disk=GIB - rack.MIB)
    with pytest.raises(QuotaExceeded, match=r"1 MiB too much. Delete others"):
        give(office)


def test_what_others_use_is_not_taken_from_them(office: Office, web: Person, shop: Person) -> None:
    rack.instance(shop, "desk", disks=[{"volume": "local/found", "read_only": True, "bus": "virtio"}])
    with pytest.raises(InUse, match="Instances of other projects use volume found: desk") as used:
        give(office)
    assert used.value.field == "project"
    give(office, "shop")
    give(office, "")
    shop("instance.delete", instance="desk")
    shop("volume.snapshot", volume="local/found", name="mine")
    rack.settle(office)
    with pytest.raises(InUse, match="rest on volume found: mine"):
        give(office)
    give(office, "shop")
    with pytest.raises(Refused, match="rests on volume found, which is another project's"):
        give(office, "", volume="local/mine")


def test_a_secret_of_others_does_not_come_along(office: Office, web: Person, shop: Person) -> None:
    office.sysadm(
        "secret.add", name="key", kind="volume", usage="key", display_name="Key", value="Correct-horse", project="shop"
    )
    shop("volume.add", name="locked", pool="local", capacity=GIB, secret="key")
    rack.settle(office)
    for project in ("web", ""):
        with pytest.raises(Refused, match="opens with the secret key, which is another project's"):
            give(office, project, volume="local/locked")


@pytest.mark.parametrize(
    ("state", "words"), [("foreign", "volume accept"), ("missing", "not there"), ("creating", "not there")]
)
def test_only_what_is_there_is_given(office: Office, web: Person, state: str, words: str) -> None:
    office.services.database.write(lambda s: s.execute(update(Volume).values(state=state)))
    with pytest.raises(Refused, match=words):
        give(office)
