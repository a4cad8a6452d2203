"""Fixtures of the storage tests, which run inside their virtual machine: its libvirtd, one hostd, a project."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.storage.cloud import Cloud
from tests.storage.here import Here
from tests.storage.servers import CifsServer, IscsiServer, NfsServer


@pytest.fixture(scope="session")
def here() -> Iterator[Here]:
    """The virtual machine, with libvirtd."""
    here = Here(Path("/run/servers.log"))
    yield here
    shutil.copy("/run/servers.log", "/run/share/servers.log")
    here.close()


@pytest.fixture(scope="session")
def nfs(here: Here) -> NfsServer:
    """An NFS server that is not serving yet."""
    return NfsServer(here)


@pytest.fixture(scope="session")
def cifs(here: Here) -> CifsServer:
    """A CIFS server with one share."""
    return CifsServer(here)


@pytest.fixture(scope="session")
def iscsi(here: Here) -> IscsiServer:
    """An iSCSI server with a target of two units."""
    return IscsiServer(here)


@pytest.fixture(scope="session")
def cloud(here: Here) -> Iterator[Cloud]:
    """A cloud of this one host, with project ``web``, its admin ``zhao``, and the sample image."""
    cloud = Cloud(here, Path("/srv/dosvm"))
    cloud.start()
    try:
        cloud.furnish()
        cloud.add_sample()
        yield cloud
    finally:
        shutil.copy(cloud.log, "/run/share/hostd.log")
        if cloud.running:
            cloud.stop()
