"""However many VMs are to start, only two for each processor are being made at the same time."""

from __future__ import annotations

import contextlib
import threading
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hostd import machines as module
from hostd.handling import Interrupted
from hostd.machines import Machines


class _Libvirt:
    """Makes domains, each of which takes its time."""

    def __init__(self) -> None:
        self.guard = threading.Lock()
        self.at_work = self.most = self.made = 0

    def create(self, _xml: str, _uuid: str, _epoch: int) -> Any:
        with self.guard:
            self.at_work += 1
            self.most = max(self.most, self.at_work)
        time.sleep(0.05)
        with self.guard:
            self.at_work -= 1
            self.made += 1


@pytest.fixture
def libvirt(monkeypatch: pytest.MonkeyPatch) -> _Libvirt:
    monkeypatch.setattr(module, "domain_xml", lambda *_order, **_more: "<domain/>")
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda _process: {0, 1})
    return _Libvirt()


def _machines(libvirt: _Libvirt) -> Machines:
    order = SimpleNamespace(disks=())
    disks = SimpleNamespace(
        prepare=lambda _order: (order, {}),
        look_again=lambda _order: None,
        started=lambda _uuid: None,
        remove=lambda _uuid: None,
    )
    secrets = SimpleNamespace(lent=lambda *_secrets: contextlib.nullcontext())
    nothing = cast(Any, None)
    return Machines(
        nothing,
        nothing,
        lambda: 1,
        cast(Any, libvirt),
        nothing,
        nothing,
        nothing,
        cast(Any, disks),
        nothing,
        cast(Any, secrets),
    )


def _start(machines: Machines, closing: threading.Event | None = None) -> None:
    order: Any = SimpleNamespace(uuid="u", epoch=1, spec=SimpleNamespace(accelerator="tcg"))
    machines._create(order, time.monotonic() + 60, closing)


def test_a_host_with_two_processors_makes_four_at_a_time(libvirt: _Libvirt) -> None:
    machines = _machines(libvirt)
    threads = [threading.Thread(target=_start, args=(machines,)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (libvirt.most, libvirt.made) == (4, 12)


def test_those_that_wait_when_hostd_ends_are_left_for_the_next_one(libvirt: _Libvirt) -> None:
    machines, closing = _machines(libvirt), threading.Event()
    closing.set()
    with pytest.raises(Interrupted):
        _start(machines, closing)
    assert libvirt.made == 0
