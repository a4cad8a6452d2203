"""What libvirt and QEMU this host has is asked until somebody says it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from core.errors import EngineError
from hostd import intervals
from hostd.hypervisor.versions import Versions, VersionWatch


class SlowLibvirtd:
    """A connection whose first calls take too long."""

    up = True

    def __init__(self, too_slow: int) -> None:
        self.left = too_slow

    def on_change(self, hook: Callable[[bool], None]) -> None:
        self.hook = hook

    def call(self, _work: Callable[[Any], Versions], *, limit: float) -> Versions:
        self.left -= 1
        if self.left >= 0:
            raise EngineError("libvirtd did not answer.")
        return Versions("9.0.0", "7.2.22")


def test_a_libvirtd_that_first_looks_at_every_qemu_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "TRY_AGAIN", 0.0)
    libvirtd = SlowLibvirtd(too_slow=2)
    watch = VersionWatch(libvirtd)  # type: ignore[arg-type]
    watch._ask()
    assert watch.now == Versions("9.0.0", "7.2.22")


def test_one_that_went_away_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    libvirtd = SlowLibvirtd(too_slow=1)
    monkeypatch.setattr(intervals, "TRY_AGAIN", 0.0)
    libvirtd.up = False
    watch = VersionWatch(libvirtd)  # type: ignore[arg-type]
    watch._ask()
    assert watch.now == Versions()
