"""What a command is started with: closed and full streams, poor character sets, bytes that are no text."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.office import Office
from tests.unit.cli.conftest import Dosvm

ROOT = Path(__file__).resolve().parents[3]


def in_shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which ``dosvm`` is the program."""
    program = f"{shlex.quote(sys.executable)} -m dosvm_tui.cli"
    return subprocess.run(
        ["bash", "-c", f"dosvm() {{ {program} \"$@\"; }}; {command}"],
        capture_output=True, text=True, check=False, cwd=ROOT, stdin=subprocess.DEVNULL,
        env={**os.environ, "LC_ALL": "C.UTF-8", **environment},
    )  # fmt: skip


@pytest.mark.parametrize("words", ["--help", "vm --help list", "--version"])
def test_a_closed_output_is_nobodys_fault(words: str) -> None:
    done = in_shell(f"dosvm {words} >&-")
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_asked_of_a_closed_input_is_missing() -> None:
    done = in_shell("dosvm init <&-", DOSVM_HOME="/nonexistent")
    assert done.returncode == 2
    assert "itself" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_error_never_goes_to_the_output() -> None:
    done = in_shell("dosvm bogus 2>&-")
    assert (done.returncode, done.stdout) == (2, "")


def test_an_output_that_is_full_is_said_in_a_sentence() -> None:
    done = in_shell("dosvm --help >/dev/full")
    assert done.returncode == 1
    assert done.stderr == "dosvm: The output cannot be written: No space left on device.\n"


def test_a_character_set_that_lacks_a_letter_loses_no_line() -> None:
    done = in_shell("dosvm --lang zh --help", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u" in done.stdout


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("dosvm vm show $'\\xffa'", "\\xffa"),
        ("dosvm vm list --search=$'\\xff'", "\\xff"),
        ("DOSVM_ACCOUNT=$'\\xff' dosvm vm list", "DOSVM_ACCOUNT"),
        ("DOSVM_PASSWORD=$'\\xfe' dosvm vm list", "DOSVM_PASSWORD"),
    ],
)
def test_bytes_that_are_no_text_are_named(command: str, said: str) -> None:
    done = in_shell(command)
    assert done.returncode == 2
    assert "is not UTF-8 text." in done.stderr
    assert said in done.stderr
    assert "xfe" not in done.stderr, "a password is not repeated"
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("text", ["name: 2024-01-31\n", "vcpus: .nan\n", "disks: &a [*a]\n", "memory: !!binary aGk=\n"])
def test_a_value_of_yaml_that_nothing_takes_is_named(
    dosvm: Dosvm, office: Office, file: Callable[[str, str], str], text: str
) -> None:
    done = dosvm("instance", "add", "-f", file("odd.yaml", text))
    assert done.code == 2
    assert f"{text.partition(':')[0]} is neither text nor a number" in done.err
    assert len(done.err.splitlines()) == 1


def test_a_key_of_a_row_is_named_with_its_option(dosvm: Dosvm, office: Office) -> None:
    done = dosvm("instance", "add", "x", "--graphics", "vnc,port=99999")
    assert done.code == 2
    assert done.err.startswith("dosvm: --graphics: port: ")
