"""Commands about many VMs: named or selected, by few calls, with a line for each that is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.rules import many
from tests.fakes import rack
from tests.fakes.office import Office
from tests.unit.cli.conftest import Dosvm


@pytest.fixture
def shop(office: Office) -> Office:
    """A project with six VMs of two instances."""
    web = rack.web(office)
    for name in ("shop", "mail"):
        rack.instance(web, name)
        for number in range(3):
            web("vm.add", name=f"{name}-{number}", instance=name)
    return office


@pytest.fixture
def asked(shop: Office, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """The calls that hostd was asked for."""
    seen: list[tuple[str, dict[str, Any]]] = []
    call: Callable[..., Any] = shop.services.call

    def noted(name: str, arguments: dict[str, Any], *rest: Any) -> Any:
        seen.append((name, arguments))
        return call(name, arguments, *rest)

    monkeypatch.setattr(shop.services, "call", noted)
    return seen


def powers(office: Office) -> dict[str, str]:
    """Power of each VM that is on."""
    rows = office.person("web-admin")("vm.list")["rows"]
    return {row["name"]: row["power"] for row in rows if row["power"] == "on"}


def test_many_are_one_call_and_each_refusal_is_a_line(
    shop: Office, dosvm: Dosvm, asked: list[tuple[str, dict[str, Any]]]
) -> None:
    done = dosvm("vm", "start", "shop-0", "nobody", "mail-2", "--no-wait", who="web-admin")
    assert done.code == 1
    assert done.err == "dosvm: nobody: There is no VM nobody.\n"
    assert [line.split(":")[0] for line in done.out.splitlines()] == ["Power on shop-0", "Power on mail-2"]
    assert [arguments["vm"] for name, arguments in asked if name == "vm.start"] == [["shop-0", "nobody", "mail-2"]]
    assert powers(shop) == {"shop-0": "on", "mail-2": "on"}


def test_more_than_one_call_takes_are_asked_for_by_several(
    shop: Office, dosvm: Dosvm, asked: list[tuple[str, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dosvm_tui.commands.action.AT_ONCE", 2)
    assert many.AT_ONCE > 2
    names = ["shop-0", "shop-1", "shop-2"]
    done = dosvm("vm", "start", *names, "--no-wait", "-o", "json", who="web-admin")
    assert [one["name"] for one in json.loads(done.out)] == names
    assert [arguments["vm"] for name, arguments in asked if name == "vm.start"] == [names[:2], "shop-2"]


def test_selected_rows_are_those_it_makes_sense_for(shop: Office, dosvm: Dosvm) -> None:
    assert dosvm("vm", "start", "shop-1", "--no-wait", who="web-admin").code == 0
    rack.work(shop)
    done = dosvm("vm", "start", "--filter", "instance=shop", "--no-wait", who="web-admin")
    assert (done.code, done.err) == (0, "")
    assert [line.split(":")[0] for line in done.out.splitlines()] == ["Power on shop-0", "Power on shop-2"]
    rack.work(shop)
    refused = dosvm("vm", "stop", "--search", "shop", "--no-wait", who="web-admin")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert dosvm("vm", "stop", "--search", "shop", "--force", "--yes", "--no-wait", who="web-admin").code == 0
    assert powers(shop) == {}
    rack.work(shop)
    done = dosvm("vm", "stop", "--search", "shop", "--yes", who="web-admin")
    assert (done.code, done.out, done.err) == (0, "", "No row fits.\n")
    nothing = dosvm("vm", "stop", "--search", "shop", "--yes", "-o", "json", who="web-admin")
    assert (nothing.code, json.loads(nothing.out)) == (0, [])
    one = dosvm("vm", "start", "--search", "shop-0", "--no-wait", "-o", "json", who="web-admin")
    assert len(json.loads(one.out)) == 1, "a list, as for many"


def test_what_is_named_and_selected_is_too_much(shop: Office, dosvm: Dosvm) -> None:
    done = dosvm("vm", "start", "shop-0", "--filter", "instance=mail", who="web-admin")
    assert done.code == 2
    assert "shop-0" in done.err
    assert powers(shop) == {}
    assert dosvm("vm", "start", "--filter", "nothing=mail", who="web-admin").code == 2


@pytest.mark.parametrize(
    "words",
    [
        ("--search", ""),
        ("--search", "  "),
        ("--filter", "instance="),
        ("--filter", "instance=shop", "--search", ""),
        ("--filter", "state=off", "--filter", "instance= "),
    ],
)
def test_an_empty_variable_of_a_shell_selects_nothing(shop: Office, dosvm: Dosvm, words: tuple[str, ...]) -> None:
    """`dosvm vm stop --search "$X"` was about every VM."""
    before = powers(shop)
    for verb, more in (("start", ()), ("stop", ("--force",)), ("delete", ())):
        done = dosvm("vm", verb, *words, *more, "--yes", "--no-wait", who="web-admin")
        assert done.code == 2, verb
        assert "is empty" in done.err
        assert "every row" in done.err
    assert powers(shop) == before
    assert len(shop.person("web-admin")("vm.list")["rows"]) == 6
    assert dosvm("vm", "list", "--search", "", who="web-admin").code == 0, "to look at all is no harm"


def test_disks_that_go_by_an_edit_are_named_and_asked_about(
    shop: Office, dosvm: Dosvm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`instance edit sample --disk volume=local/s1b` took the boot CD away, and said "done"."""
    web = shop.person("web-admin")
    for name in ("s1", "s1b"):
        web("volume.add", name=name, pool="local", capacity=2**30)
    rack.settle(shop)
    web("instance.edit", instance="mail", name="mail", disks=[])
    for number in range(1, 3):
        web("vm.delete", vm=f"mail-{number}")
    rack.settle(shop)
    web("instance.edit", instance="mail", disks=[{"device": "cdrom"}, {"volume": "local/s1"}])
    edit = ("instance", "edit", "mail", "--disk", "volume=local/s1b")
    before = web("instance.show", instance="mail")["disks"]
    done = dosvm(*edit, who="web-admin")
    assert done.code == 2
    assert "--disk is the whole list. These go: cdrom, disk,volume=local/s1.\n" in done.err
    assert "--yes" in done.err
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda _: True, "readline": lambda _: "no\n"})())
    assert "Nothing was done." in dosvm(*edit, who="web-admin").err
    assert web("instance.show", instance="mail")["disks"] == before
    assert "whole list" in dosvm("instance", "edit", "--help", who="").out
    assert "whole list" not in dosvm("instance", "add", "--help", who="").out
    both = ("--disk", "device=cdrom", "--disk", "volume=local/s1b")
    assert dosvm("instance", "edit", "mail", *both, who="web-admin").code == 0, "as many as before: nothing is lost"
    assert dosvm("instance", "edit", "mail", "--disk", "volume=local/s1", "--yes", who="web-admin").code == 0
    assert [disk["volume"] for disk in web("instance.show", instance="mail")["disks"]] == ["local/s1"]


def test_an_earlier_snapshot_is_gone_back_to_as_the_guide_says(shop: Office, dosvm: Dosvm) -> None:
    web = shop.person("web-admin")
    rack.instance(web, "web")
    rack.disk(shop, web, "installed")
    web("instance.edit", instance="web", disks=[{"volume": "local/installed"}])
    page = Path(__file__).parents[3] / "docs" / "guide" / "en" / "storage.md"
    (recipe,) = [text for text in re.findall(r"```shell\n(.*?)```", page.read_text(), re.DOTALL) if "try-1" in text]
    for line in recipe.splitlines():
        if line and " vm " not in line:
            done = dosvm(*line.split()[1:], "--no-wait", who="web-admin")
            assert (line, done.code, done.err) == (line, 0, "")
            rack.settle(shop)
    assert [disk["volume"] for disk in web("instance.show", instance="web")["disks"]] == ["local/try-2"]
    assert web("volume.show", volume="local/try-2")["backing"] == "local/installed"


def test_the_end_of_a_start_says_where(shop: Office, dosvm: Dosvm, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guide says that the answer says which host was taken."""
    monkeypatch.setattr("dosvm_tui.commands.action.wait_for", lambda *_given: {})
    done = dosvm("vm", "start", "shop-0", who="web-admin")
    assert done.out == "Power on shop-0: done, on h1\n"


def test_the_help_says_how_rows_are_selected(dosvm: Dosvm) -> None:
    text = dosvm("vm", "start", "--help", who="").out
    assert "--filter KEY=VALUE" in text
    assert "Filters: instance" in text
    assert "--filter" not in dosvm("vm", "add", "--help", who="").out


def test_a_list_of_snapshots_says_what_each_rests_on(shop: Office, dosvm: Dosvm) -> None:
    """It had a column "Tree" without a tree, and not what a snapshot rests on."""
    web = shop.person("web-admin")
    rack.disk(shop, web, "base")
    web("volume.snapshot", volume="local/base", name="one")
    rack.settle(shop)
    heading, row = dosvm("snapshot", "list", who="web-admin").out.splitlines()
    assert "Tree" not in heading
    assert "Rests on" in heading
    assert row.split()[0] == "one"
    assert "local/base" in row
