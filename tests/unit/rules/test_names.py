"""What may be typed as a name, a path or a password, and what may not."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidInput
from core.rules import RULES, check
from core.rules.names import is_uuid

ODD = ["[red]x", "../../etc", "虚" * 64, "💾", "👨‍👩‍👧", "'; DROP TABLE machine; --", "a  b", "%s {x}", "é", "می‌خواهم"]


@pytest.mark.parametrize("text", ODD)
def test_odd_names_are_only_names(text: str) -> None:
    check("name", "name", text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        " a",
        "a ",
        "x" * 65,
        "a\nb",
        "a\x1b[31m",
        "a\ud800",
        "a\u2028b",
        "\u200b",  # nothing is seen of it
        "\u200d",
        "\u3164",
        "\u2800",
        "a\u200b",  # looks like "a"
        "a\u202eb",  # turns what follows
        "a\u200fb",
        "\ufeffa",
        "a\uffff",  # XML cannot hold it
        "6ba7b810-9dad-11d1-80b4-00c04fd430c8",  # would be taken for an identity
    ],
)
def test_a_name_that_deceives_or_breaks_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check("name", "the-field", text)
    assert refused.value.field == "the-field"


@given(st.text(max_size=70))
def test_every_name_that_passes_can_stand_in_xml(text: str) -> None:
    try:
        check("name", "name", text)
    except InvalidInput:
        return
    element = ET.Element("title")
    element.text = text
    assert ET.fromstring(ET.tostring(element, encoding="unicode")).text == text
    assert not is_uuid(text)


@pytest.mark.parametrize("rule", sorted(set(RULES) - {"size"}))
@pytest.mark.parametrize("text", ["", "\x00", "\ud800", "/" * 2000, "9" * 6000, "é" * 300])
def test_a_rule_answers_with_a_sentence_or_not_at_all(text: str, rule: str) -> None:
    sentence = "."
    try:
        check(rule, "field", text)
    except InvalidInput as error:
        sentence = error.text()
    assert sentence.endswith(".")
    assert "{" not in sentence


@pytest.mark.parametrize("path", ["/srv/vm", "/var/lib/dosvm/pools/a", "/srv/池", "/mnt/a b/", "/data//x"])
def test_directories_for_disks(path: str) -> None:
    check("directory", "path", path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "srv",
        "/",
        "//",
        "/root",
        "/var/lib/",
        "/etc",
        "//etc//x",
        "/usr/local/x",
        "/dev/shm",
        "/lib32/x",
        "/srv/../etc",
        "/srv/./x",
    ],
)
def test_the_systems_own_directories_are_refused(path: str) -> None:
    with pytest.raises(InvalidInput):
        check("directory", "path", path)


@pytest.mark.parametrize("file", ["debian.iso", "iso/debian 12.iso", "磁盘.qcow2", "a..b"])
def test_files_below_a_directory(file: str) -> None:
    check("file_name", "file", file)


@pytest.mark.parametrize(
    "file", ["", "/etc/passwd", "..", "a/../b", "a//b", "a/", ".hidden", "a/.ssh/id", "é" * 200, "a\x00b"]
)
def test_a_file_cannot_leave_its_directory(file: str) -> None:
    with pytest.raises(InvalidInput):
        check("file_name", "file", file)


def test_every_rule_is_a_function_of_one_value() -> None:
    assert all(callable(rule) for rule in RULES.values())
