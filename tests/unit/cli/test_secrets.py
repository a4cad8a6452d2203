"""Secrets by commands: values come from files, and are never shown or repeated."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

from tests.fakes.office import Office
from tests.unit.cli.conftest import Dosvm

ADD = ("secret", "add", "disk-key", "--display-name", "数据盘密钥", "--kind", "volume", "--usage", "web/disks")
CANARY = "Canary-of-the-command-line-5"


def test_a_secret_is_added_found_changed_and_deleted(
    dosvm: Dosvm, office: Office, file: Callable[[str, str], str]
) -> None:
    office.project("web")
    value = file("value", f"{CANARY}\n")
    said = [dosvm(*ADD, "--project", "web", "--value-file", value)]
    assert (said[0].code, said[0].err) == (0, "")
    said.append(dosvm("secret", "list", "--filter", "kind=volume", "--filter", "project=web", "-o", "json"))
    assert [row["name"] for row in json.loads(said[-1].out)] == ["disk-key"]
    said += [dosvm("secret", "list", "--search", "密钥"), dosvm("secret", "show", "disk-key", "-o", "yaml")]
    assert "disk-key" in said[-2].out
    said += [dosvm("secret", "edit", "disk-key", "--usage", "web/archive", "--value-file", value)]
    assert json.loads(dosvm("secret", "show", "disk-key", "-o", "json").out)["usage"] == "web/archive"
    said += [dosvm("secret", "delete", "disk-key", "--yes"), dosvm("log", "list", "-o", "json")]
    assert [result.code for result in said] == [0] * len(said)
    assert CANARY not in "".join(result.out + result.err for result in said)


def test_a_value_that_is_refused_is_named_by_its_option(
    dosvm: Dosvm, office: Office, file: Callable[[str, str], str]
) -> None:
    result = dosvm(*ADD, "--value-file", file("value", "shorty7\n"))
    assert result.code == 1
    assert "--value-file" in result.err
    assert "8 characters" in result.err
    assert "shorty7" not in result.err
    assert dosvm(*ADD).err.startswith("dosvm: --value-file is missing.")
    assert dosvm(*ADD, "--value", "x").code == 2


def test_the_help_says_why_there_is_no_ceph(dosvm: Dosvm) -> None:
    said = dosvm("secret", "add", "--help", who="").out
    assert "volume|iscsi" in said
    assert "Ceph is not offered" in said


def test_a_command_leaves_no_core_dump() -> None:
    code = (
        "import resource; from dosvm_tui import cli; cli.main(['--version']);"
        "print(resource.getrlimit(resource.RLIMIT_CORE))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "(0, 0)"
