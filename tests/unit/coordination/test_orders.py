"""What hosts read and write about pools, volumes and images, and the orders of VMs that use them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update

from core.coordination import machines, storage
from core.errors import Refused
from core.model import Image, Pool, Project, ProjectGroup, Volume
from core.specs.order import MachineOrder
from tests.fakes import rack
from tests.fakes.office import GIB, Office, Person


@pytest.fixture
def web(office: Office) -> Person:
    """The admin of a project with host h1 and pool ``local``."""
    return rack.web(office)


def uuid_of(office: Office, model: Any) -> str:
    found: str = office.services.database.read(lambda s: s.scalars(select(model.uuid)).one())
    return found


def image(office: Office, name: str, **values: Any) -> None:
    def work(session: Any) -> None:
        group = session.scalars(select(ProjectGroup)).one()
        project = session.scalars(select(Project)).one()
        usual = {"file": f"sub/{name}.img", "format": "qcow2", "state": "present", "read_only": True}
        session.add(Image(name=name, group_id=group.id, project_id=project.id, **{**usual, **values}))

    office.services.database.write(work)


def order(office: Office, uuid: str) -> MachineOrder | None:
    return office.services.database.read(lambda s: machines.load(s, uuid, office.services.vault))


def test_a_volume_as_its_host_sees_it(office: Office, web: Person) -> None:
    rack.disk(office, web, "disk1")
    database, uuid = office.services.database, uuid_of(office, Volume)
    found = database.read(lambda s: storage.load_volume(s, uuid))
    assert found is not None
    assert (found.name, found.format, found.capacity, found.state) == ("disk1", "qcow2", GIB, "present")
    assert (found.path, found.pool.name) == ("/srv/dosvm-test/pool/disk1", "local")
    assert found.options["mode"] == "0600"
    assert database.write(lambda s: storage.record_volume(s, uuid, state="missing", allocation=5))
    assert not database.write(lambda s: storage.record_volume(s, "none", state="missing"))
    assert web("volume.show", volume="disk1")["state"] == "missing"
    assert database.read(lambda s: storage.load_volume(s, "none")) is None


def test_growth_is_given_back_once(office: Office, web: Person) -> None:
    rack.disk(office, web, "disk1")
    database, uuid = office.services.database, uuid_of(office, Volume)
    web("volume.grow", volume="disk1", capacity=2 * GIB)
    assert database.write(lambda s: storage.restore_capacity(s, uuid, 2 * GIB, GIB))
    assert not database.write(lambda s: storage.restore_capacity(s, uuid, 2 * GIB, GIB))
    assert web("volume.show", volume="disk1")["capacity"] == GIB


def test_pools_of_a_host_and_their_errors(office: Office, web: Person) -> None:
    database, uuid = office.services.database, uuid_of(office, Pool)
    (pool,) = database.read(lambda s: storage.pools_of_host(s, rack.host_id(office, "h1")))
    assert (pool.uuid, pool.name, pool.path) == (uuid, "local", "/srv/dosvm-test/pool")
    host, now, gone = rack.host_id(office, "h1"), office.services.clock.now(), storage.PoolState(error="gone")
    assert database.write(lambda s: storage.record_pool(s, pool.id, host, gone, now))
    assert not database.write(lambda s: storage.record_pool(s, pool.id, host, gone, now)), "no news"
    assert database.write(lambda s: storage.remove_pool(s, uuid))
    assert database.read(lambda s: storage.load_pool(s, uuid)) is None


def test_what_could_not_be_made_goes_unless_an_instance_names_it(office: Office, web: Person) -> None:
    database = office.services.database
    for used in (False, True):
        web("volume.add", name="disk1", pool="local", capacity=GIB)
        uuid = uuid_of(office, Volume)
        if used:
            rack.instance(web, disks=[{"volume": "local/disk1"}])
        assert database.write(lambda s, u=uuid: storage.remove_volume(s, u))  # type: ignore[misc]
        rack.settle(office)
        assert [row["state"] for row in web("volume.list")["rows"]] == (["failed"] if used else [])
    image(office, "cd")
    uuid = uuid_of(office, Image)
    found = database.read(lambda s: storage.load_image(s, uuid))
    assert found is not None
    assert (found.root, found.path) == ("/srv/dosvm-test/web", "/srv/dosvm-test/web/sub/cd.img")
    assert database.write(lambda s: storage.record_image(s, uuid, size=7))
    assert database.write(lambda s: storage.remove_image(s, uuid))
    assert web("image.list")["total"] == 0


def test_an_order_names_every_file_in_the_specs_order(office: Office, web: Person) -> None:
    for number in range(3):
        rack.disk(office, web, f"disk{number}")
    image(office, "locked")
    image(office, "open", read_only=False)
    image(office, "cd", format="iso")
    disks: list[dict[str, Any]] = [
        {"device": "cdrom"},
        {"volume": "local/disk2"},
        {"image": "locked"},
        {"device": "cdrom", "image": "cd", "bus": "sata"},
        {"volume": "local/disk0", "read_only": True},
        {"image": "open"},
        {"device": "cdrom", "image": "locked", "bus": "scsi"},
        {"image": "locked", "read_only": True, "bus": "scsi"},
    ]
    rack.instance(web, disks=disks[:-1])
    uuid = web("vm.add", name="shop-1", instance="shop", start=True)["uuid"]
    found = order(office, uuid)
    assert found is not None
    assert (found.name, found.project, found.instance, found.epoch) == ("shop-1", "web", "shop", 1)
    assert (found.power, found.state, found.enabled) == ("on", "starting", True)
    assert [(disk.name, disk.format, disk.overlay) for disk in found.disks] == [
        ("local/disk2", "qcow2", False),
        ("locked", "qcow2", True),
        ("cd", "raw", False),
        ("local/disk0", "qcow2", False),
        ("open", "qcow2", False),
        ("locked", "qcow2", False),
    ]
    assert [disk.path for disk in found.disks[:2]] == [
        "/srv/dosvm-test/pool/disk2",
        "/srv/dosvm-test/web/sub/locked.img",
    ]
    assert found.disks[0].pool == uuid_of(office, Pool)
    assert {disk.root for disk in found.disks} == {"/srv/dosvm-test/pool", "/srv/dosvm-test/web"}


def test_no_order_without_its_files(office: Office, web: Person) -> None:
    rack.instance(web, disks=[{"volume": rack.disk(office, web, "disk1")}])
    uuid = web("vm.add", name="shop-1", instance="shop")["uuid"]
    office.services.database.write(lambda s: s.execute(update(Volume).values(state="missing")))
    with pytest.raises(Refused, match="local/disk1 cannot be used: it is missing"):
        order(office, uuid)
    assert order(office, "none") is None
