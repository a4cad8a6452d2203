"""Fixtures of the engine tests: one private libvirtd for the session, and one hostd beside it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.hostd import Hostd
from tests.engine.libvirt import PrivateLibvirt


@pytest.fixture(scope="session", autouse=True)
def _cheap_keys() -> Iterator[None]:
    """Keys of encrypted images take next to no time, here and for hostd; see the program."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{Path(__file__).parents[1] / 'cheap_keys'}:{os.environ['PATH']}")
        yield


@pytest.fixture(scope="session")
def private_libvirt() -> Iterator[PrivateLibvirt]:
    """A libvirtd that belongs to these tests."""
    # pytest's own directories are too deep for the paths of Unix sockets, and closed to QEMU's user.
    root = Path(tempfile.mkdtemp(prefix="dosvm-engine-"))
    server = PrivateLibvirt(root)
    yield server
    server.close()
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="session")
def _hostd(private_libvirt: PrivateLibvirt) -> Iterator[Hostd]:
    home = Path(tempfile.mkdtemp(prefix="dosvm-home-"))
    daemon = Hostd(private_libvirt, home)
    daemon.start()
    daemon.furnish()
    yield daemon
    if daemon.running:
        daemon.clean()
        daemon.stop()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def hostd(_hostd: Hostd) -> Iterator[Hostd]:
    """A hostd that runs, with a project and a pool; what a test makes is removed after it."""
    if not _hostd.running:
        _hostd.start()
    yield _hostd
    if not _hostd.running:
        _hostd.start()
        _hostd.wait()
    _hostd.clean()
