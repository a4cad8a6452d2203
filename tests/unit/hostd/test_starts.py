"""Starts that libvirtd has not answered are known to the next hostd of this boot, and end when it is certain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import libvirt
import pytest

from core.errors import DosvmError
from hostd import intervals
from hostd.hypervisor.domains import Domains
from hostd.hypervisor.errors import translate
from hostd.hypervisor.starts import Starts

VM = "11111111-2222-4333-8444-555555555555"


class _Lost(libvirt.libvirtError):  # type: ignore[misc]
    """What libvirt's client says when the connection broke."""

    def __init__(self, code: int, message: str) -> None:
        Exception.__init__(self, message)
        self.err = (code, libvirt.VIR_FROM_RPC if code == libvirt.VIR_ERR_RPC else 0, message, 0, "", "", "", 0, 0)


class _Libvirtd:
    """Answers as it is told; ``stuck``: a call for the VM has not come back."""

    def __init__(self) -> None:
        self.stuck = self.knows = False
        self.fails: libvirt.libvirtError | None = None

    def is_stuck(self, _uuid: str) -> bool:
        return self.stuck

    def call(self, function: Callable[[Any], Any], **_limits: Any) -> Any:
        try:
            return function(self)
        except libvirt.libvirtError as error:
            raise translate(error) from error

    def createXML(self, _xml: str, _flags: int) -> Any:
        if self.fails is not None:
            raise self.fails
        domain = SimpleNamespace(state=lambda: (1, 0), UUIDString=lambda: VM, ID=lambda: 7, name=lambda: "vm")
        domain.metadata = lambda *_what: '<dosvm epoch="3"/>'
        return domain

    def lookupByUUIDString(self, _uuid: str) -> Any:
        if not self.knows:
            raise _Lost(libvirt.VIR_ERR_NO_DOMAIN, "no domain")
        return SimpleNamespace(ID=lambda: -1)


@pytest.fixture
def libvirtd() -> _Libvirtd:
    return _Libvirtd()


@pytest.fixture
def domains(libvirtd: _Libvirtd, tmp_path: Path) -> Domains:
    connection: Any = libvirtd
    return Domains(connection, namespace="n", starts=Starts(tmp_path / "starts", "boot"))


def _start(domains: Domains, libvirtd: _Libvirtd, fails: libvirt.libvirtError | None) -> None:
    libvirtd.fails = fails
    with pytest.raises(DosvmError):
        domains.create("<domain/>", VM, 3)


_BROKEN = _Lost(libvirt.VIR_ERR_RPC, "client socket is closed")
_NO = _Lost(libvirt.VIR_ERR_OPERATION_FAILED, "QEMU does not like it")


def test_what_is_answered_is_not_kept(domains: Domains, libvirtd: _Libvirtd, tmp_path: Path) -> None:
    _start(domains, libvirtd, _NO)
    assert not domains.unanswered(VM)
    libvirtd.fails = None
    domains.create("<domain/>", VM, 3)
    assert not domains.unanswered(VM)
    assert list((tmp_path / "starts").iterdir()) == []


def test_what_is_not_answered_is_kept_until_libvirtd_knows_nothing_of_it_twice(
    domains: Domains, libvirtd: _Libvirtd
) -> None:
    _start(domains, libvirtd, _BROKEN)
    assert domains.unanswered(VM)
    # That it is refused now may be because the earlier one is just being done.
    _start(domains, libvirtd, _NO)
    assert domains.unanswered(VM)
    waited: list[float] = []

    def comes(seconds: float) -> None:
        waited.append(seconds)
        libvirtd.knows = True

    assert not domains.certain(VM, comes)
    assert waited == [intervals.START_SURE]
    libvirtd.knows, libvirtd.stuck = False, True
    assert not domains.certain(VM, lambda _seconds: None)
    libvirtd.stuck = False
    assert domains.certain(VM, lambda _seconds: None)
    assert not domains.unanswered(VM)


def test_the_next_hostd_knows_and_the_next_boot_does_not(domains: Domains, libvirtd: _Libvirtd, tmp_path: Path) -> None:
    _start(domains, libvirtd, _BROKEN)
    assert Starts(tmp_path / "starts", "boot").open(VM) == 3
    assert Starts(tmp_path / "starts", "another").open(VM) is None
    assert list((tmp_path / "starts").iterdir()) == []
