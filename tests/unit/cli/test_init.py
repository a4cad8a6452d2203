"""`dosvm init` and the commands that are no resources."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Dosvm


@pytest.fixture
def secret(file: Callable[[str, str], str]) -> str:
    """A file with a first password."""
    return file("adm.pw", "Adm1n-secret-9\n")


def test_init_makes_a_cloud_and_never_overwrites(dosvm: Dosvm, home: Path, secret: str) -> None:
    words = ["init", "--database", f"sqlite:///{home}/cloud.db", "--sysadm-password-file", secret, "--yes"]
    assert dosvm(*words, who="").code == 0
    before = {path.name: path.read_bytes() for path in home.iterdir()}
    again = dosvm(*words, who="")
    assert again.code == 1
    assert "overwrites nothing" in again.err
    assert {path.name: path.read_bytes() for path in home.iterdir()} == before
    for name in ("cluster.key", "cloud.db", "dosvm.toml"):
        assert (home / name).stat().st_mode & 0o077 == 0
    assert b"Adm1n" not in b"".join(before[name] for name in ("cloud.db", "dosvm.toml"))


def test_init_makes_up_a_password_and_shows_it_once(dosvm: Dosvm, home: Path) -> None:
    done = dosvm("init", "--yes", who="")
    assert done.code == 0
    (shown,) = (line.strip() for line in done.out.splitlines() if line.startswith("    "))
    assert len(shown) >= 16
    assert not any(shown.encode() in path.read_bytes() for path in home.iterdir() if path.is_file())


def test_init_asks_when_there_is_somebody(
    dosvm: Dosvm, home: Path, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal("\nno\n"))
    done = dosvm("init", "--sysadm-password-file", secret, who="")
    assert done.code == 1
    assert not (home / "cloud.db").exists()
    monkeypatch.setattr("sys.stdin", Terminal("\nyes\n"))
    assert dosvm("init", "--sysadm-password-file", secret, who="").code == 0
    assert (home / "cloud.db").exists()


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (["init"], 2, "--database is missing"),
        (["init", "--database", "sqlite:///x.db"], 2, "--yes"),
        (["init", "--database", "oracle://x", "--yes"], 1, "database URL"),
        (["init", "--database", "sqlite:////nowhere/at/all/x.db", "--yes"], 1, "/nowhere/at/all does not exist"),
        (["init", "--sysadm-password-file", "/nowhere", "--yes"], 2, "cannot be read"),
        (["init", "now", "--yes"], 2, "now is one word too many"),
        (["hostd"], 2, "dosvm hostd run"),
        (["hostd", "status"], 1, "hostd does not answer"),
        (["hostd", "run"], 1, "dosvm.toml does not exist"),
        ([], 2, "needs a terminal"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(dosvm: Dosvm, home: Path, words: list[str], code: int, hint: str) -> None:
    done = dosvm(*words, who="")
    assert done.code == code
    assert hint in done.err
    assert len(done.err.splitlines()) == 1
    assert not (home / "cluster.key").exists()


def test_the_version(dosvm: Dosvm) -> None:
    assert dosvm("--version", who="").out.startswith("dosvm 0.")


def test_doctor_says_what_is_wrong_and_what_to_do(dosvm: Dosvm, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dosvm_tui.commands.doctor._LIBVIRT_PATIENCE", 0.3)
    dosvm("init", "--yes", who="")
    settings = home / "dosvm.toml"
    url = 'libvirt_url = "qemu+unix:///system?socket=/nowhere/sock"'
    settings.write_text(settings.read_text().replace("[config]", f"[config]\n{url}"))
    done = dosvm("doctor", "-o", "json", who="")
    assert done.code == 1
    found = {finding["check"]: finding for finding in json.loads(done.out)}
    assert found["Settings"]["level"] == "ok"
    assert found["Database"]["level"] == "ok"
    assert found["libvirt"]["level"] == "problem"
    assert "Start libvirtd" in found["libvirt"]["remedy"]
    assert found["hostd"]["level"] == "warning"
    (home / "cluster.key").chmod(0o644)
    assert "open to everybody" in dosvm("doctor", who="").out
