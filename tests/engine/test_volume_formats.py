"""What the services promise of volumes' formats, this machine's libvirt and QEMU keep."""

from __future__ import annotations

import json
import stat
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import DosvmError
from core.libvirt_xml import pool_xml, volume_xml
from core.services.volume_formats import FORMATS, GROWING, making
from hostd.hypervisor.connection import Connection
from hostd.hypervisor.pools import Pools
from hostd.hypervisor.volumes import VolumeInfo, Volumes
from tests.engine.libvirt import PrivateLibvirt

pytestmark = pytest.mark.engine
MIB = 1024**2
SIZE, LARGER = 32 * MIB, 64 * MIB


class Place:
    """An active pool."""

    def __init__(self, connection: Connection, directory: Path) -> None:
        self.directory = directory
        self.uuid = str(uuid.uuid4())
        self.pools, self.volumes = Pools(connection), Volumes(connection)
        name = f"formats-{self.uuid[:8]}"
        self.pools.ensure(self.uuid, pool_xml(name=name, uuid=self.uuid, path=str(directory)))

    def make(self, volume_format: str, **options: Any) -> VolumeInfo:
        """A volume ``disk`` as the operation orders it."""
        xml = volume_xml(name="disk", capacity=SIZE, volume_format=volume_format, **making(volume_format, **options))
        return self.volumes.create(self.uuid, "disk", xml)

    def inspect(self, volume_format: str) -> dict[str, Any]:
        """What QEMU says of it."""
        command = ["qemu-img", "info", "-f", volume_format, "--output=json", str(self.directory / "disk")]
        done = subprocess.run(command, check=True, capture_output=True)
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@pytest.fixture
def place(private_libvirt: PrivateLibvirt) -> Iterator[Place]:
    connection = Connection(private_libvirt.url)
    connection.start()
    assert connection.wait(20)
    with tempfile.TemporaryDirectory(prefix="dosvm-pool-") as directory:
        made = Place(connection, Path(directory))
        try:
            yield made
        finally:
            made.pools.release(made.uuid)
            connection.close()


@pytest.mark.parametrize("volume_format", FORMATS)
def test_every_format_is_written(place: Place, volume_format: str) -> None:
    place.make(volume_format)
    found = place.inspect(volume_format)
    assert found["format"] == volume_format
    assert found["virtual-size"] >= SIZE
    assert found["actual-size"] < SIZE // 4, "a new volume takes no room yet"


@pytest.mark.parametrize("volume_format", FORMATS)
def test_those_that_grow_grow(place: Place, volume_format: str) -> None:
    place.make(volume_format)
    if volume_format in GROWING:
        assert place.volumes.resize(place.uuid, "disk", LARGER).capacity == LARGER
        assert place.inspect(volume_format)["virtual-size"] == LARGER
    else:
        with pytest.raises(DosvmError):
            place.volumes.resize(place.uuid, "disk", LARGER)


def test_permissions_and_owner_are_the_files(place: Place) -> None:
    place.make("qcow2", mode="640", owner=0, group=65534)
    status = (place.directory / "disk").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o640, 0, 65534)


@pytest.mark.parametrize(
    ("options", "compat", "lazy"),
    [
        ({"compat": "0.10"}, "0.10", None),
        ({"compat": "1.1"}, "1.1", False),
        ({"lazy_refcounts": True}, "1.1", True),
    ],
)
def test_options_of_qcow2(place: Place, options: dict[str, Any], compat: str, lazy: bool | None) -> None:
    place.make("qcow2", **options)
    data = place.inspect("qcow2")["format-specific"]["data"]
    assert (data["compat"], data.get("lazy-refcounts")) == (compat, lazy)
