"""Fixtures of the engine tests: one private libvirtd for the session."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.libvirt import PrivateLibvirt


@pytest.fixture(scope="session")
def private_libvirt() -> Iterator[PrivateLibvirt]:
    """A libvirtd that belongs to these tests."""
    # pytest's own directories are too deep for the paths of Unix sockets, and closed to QEMU's user.
    root = Path(tempfile.mkdtemp(prefix="dosvm-engine-"))
    server = PrivateLibvirt(root)
    yield server
    server.close()
    shutil.rmtree(root, ignore_errors=True)
