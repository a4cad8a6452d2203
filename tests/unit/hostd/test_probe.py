"""KVM or not: decided by what a test guest really does, whatever stands in /dev."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hostd.hypervisor.probe import try_kvm

QEMU = shutil.which("qemu-system-x86_64")


def emulator(tmp_path: Path, kvm: str, tcg: str = "exit 33") -> str:
    """A program that behaves like a QEMU of that kind."""
    path = tmp_path / "qemu"
    path.write_text(f'#!/bin/sh\nif [ "$2" = kvm ]; then {kvm}; else {tcg}; fi\n')
    path.chmod(0o755)
    return str(path)


def test_a_kvm_that_works(tmp_path: Path) -> None:
    found = try_kvm(emulator(tmp_path, "exit 33"))
    assert (found.kind, found.reason) == ("kvm", "")


def test_a_kvm_that_hangs_is_killed_and_not_used(tmp_path: Path) -> None:
    found = try_kvm(emulator(tmp_path, "exec sleep 60"), patience=0.5)
    assert found.kind == "tcg"
    assert "hung" in found.reason


def test_a_kvm_that_is_slower_than_none_is_not_used(tmp_path: Path) -> None:
    found = try_kvm(emulator(tmp_path, "sleep 1.6; exit 33"))
    assert found.kind == "tcg"
    assert "no real KVM" in found.reason


def test_a_kvm_that_was_slow_once_gets_a_second_chance(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    found = try_kvm(emulator(tmp_path, f"[ -e {mark} ] || {{ touch {mark}; sleep 1.6; }}; exit 33"))
    assert found.kind == "kvm"


def test_a_kvm_that_fails_says_why(tmp_path: Path) -> None:
    found = try_kvm(emulator(tmp_path, 'echo "Could not access KVM kernel module" >&2; exit 1'))
    assert found.kind == "tcg"
    assert "Could not access KVM kernel module" in found.reason


def test_no_emulator_at_all(tmp_path: Path) -> None:
    assert try_kvm(str(tmp_path / "nothing")).kind == "tcg"


@pytest.mark.skipif(QEMU is None, reason="QEMU is not installed")
def test_the_boot_sector_leaves_a_real_qemu(tmp_path: Path) -> None:
    """Without KVM QEMU comes back with the status that means success."""
    plain = f'exec {QEMU} -accel tcg $(shift 2; echo "$@")'
    found = try_kvm(emulator(tmp_path, plain, plain))
    assert found.kind == "kvm", found.reason
