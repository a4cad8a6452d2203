"""Words, options, rows in short form, and the width of text."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

from core.errors import UsageError
from dosvm_tui import cli
from dosvm_tui.commands import output
from dosvm_tui.commands.options import read_row
from dosvm_tui.commands.words import Option, part
from screens import registry
from screens.spec import Field, Kind
from screens.values import parse, show

OPTIONS = (Option("output", "FORM", short="o"), Option("yes", short="y"), Option("disk", "ROW", many=True))


def test_options_may_stand_anywhere_and_be_written_either_way() -> None:
    for words in (["a", "-o", "json", "b"], ["-ojson", "a", "b"], ["--output=json", "a", "b"], ["a", "b", "-o=json"]):
        parted = part(words, OPTIONS)
        assert (parted.bare, parted.value("output")) == (["a", "b"], "json")


def test_a_value_may_begin_with_a_dash_and_two_dashes_end_options() -> None:
    parted = part(["--output", "-x", "--", "--yes", "-o"], OPTIONS)
    assert (parted.value("output"), parted.bare, parted.flags) == ("-x", ["--yes", "-o"], {})


def test_flags_have_a_no() -> None:
    assert part(["--yes"], OPTIONS).flags == {"yes": True}
    assert part(["--no-yes"], OPTIONS).flags == {"yes": False}
    assert part(["-y", "--no-yes"], OPTIONS).flags == {"yes": False}


@pytest.mark.parametrize("words", [["--no-output"], ["--yes=1"], ["-q"], ["-o"], ["-o", "a", "-o", "b"], ["--no-"]])
def test_what_makes_no_sense_is_refused(words: list[str]) -> None:
    with pytest.raises(UsageError):
        part(words, OPTIONS)


def _field(key: str) -> Field:
    add = next(action for action in registry.resource("instance").actions if action.verb == "add")
    return next(field for field in add.fields if field.key == key)


def test_a_disk_in_short_form() -> None:
    row = read_row(_field("disks"), "volume=local/disk1,bus=virtio,read-only=yes,copy_on_read=no")
    assert row == {"volume": "local/disk1", "bus": "virtio", "read_only": True, "copy_on_read": False}


def test_a_screen_in_short_form() -> None:
    assert read_row(_field("graphics"), "vnc") == {"type": "vnc"}
    assert read_row(_field("graphics"), "spice,port=5901") == {"type": "spice", "port": 5901}


@pytest.mark.parametrize("text", ["vnc,spice", "port=x", "port=70000", "password=secret", "channels=main", ""])
def test_a_wrong_row_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_row(_field("graphics"), text)


@pytest.mark.parametrize(
    ("text", "cells"), [("abc", 3), ("赵钱", 4), ("e\u0301", 1), ("🐧", 2), ("ｱ", 1), ("ａ", 2), ("", 0)]
)
def test_the_width_of_text(text: str, cells: int) -> None:
    assert output.cells_of(text) == cells


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (None, Kind.SIZE, "-"),
        (0, Kind.SIZE, "0 B"),
        (1536 * 1024**2, Kind.SIZE, "1.50 GiB"),
        (0.4, Kind.PERCENT, "0%"),
        (2048, Kind.RATE, "2 KiB/s"),
        (True, Kind.BOOLEAN, "yes"),
        (False, Kind.BOOLEAN, "no"),
        (59, Kind.DURATION, "59s"),
        (3600, Kind.DURATION, "1h 0m"),
        (200_000, Kind.DURATION, "2d 7h"),
        ("running", Kind.STATE, "running"),
        (["a", "b"], Kind.LIST, "a, b"),
        ([], Kind.LIST, "-"),
        ({"code": "denied", "message": "No {what}.", "parameters": {"what": "way"}}, Kind.TEXT, "No way."),
        ("[red]x[/]", Kind.TEXT, "[red]x[/]"),
    ],
)
def test_values_are_shown(value: object, kind: Kind, text: str) -> None:
    assert show(value, kind) == text


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Kind.INTEGER, " 12 ", 12),
        (Kind.INTEGER, "-1", -1),
        (Kind.SIZE, "1.5GiB", 1536 * 1024**2),
        (Kind.BOOLEAN, "Yes", True),
        (Kind.BOOLEAN, "off", False),
        (Kind.LIST, "cdrom, hd", ["cdrom", "hd"]),
        (Kind.TEXT, " as it is ", " as it is "),
    ],
)
def test_values_are_read(kind: Kind, text: str, value: object) -> None:
    assert parse(Field("x", "X", kind), text) == value


@pytest.mark.parametrize("command", [["cert", "list"], ["doctor"], ["console-settings", "show"]])
def test_a_form_that_there_is_not_is_refused_by_every_command(
    command: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOSVM_HOME", str(tmp_path))
    assert cli.main([*command, "-o", "jsn"]) == cli.USAGE
    assert "-o is one of: table, json, yaml." in capsys.readouterr().err


def test_the_account_is_typed_already_when_the_console_is_opened_as_somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    import dosvm_tui.app

    opened: list[str | None] = []
    monkeypatch.setattr(dosvm_tui.app, "run", lambda account=None: opened.append(account) or 0)
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    try:
        assert cli.main(["--as", "zhao"]) == cli.DONE
    finally:
        gc.enable()
    assert opened == ["zhao"]


def test_a_title_of_what_was_found_is_shown_without_its_pools_uuid() -> None:
    uuid = "bb38b9c1-58c8-4cd2-8fcc-418efc747399"
    assert show(f"DOS-{uuid}", Kind.TITLE) == "DOS"
    assert show(f"数据-盘-{uuid}", Kind.TITLE) == "数据-盘"
    assert show(uuid, Kind.TITLE) == uuid
    assert show("", Kind.TITLE) == "-"
