"""The guide on the screen: the sections that are about a list, out of the same files that people read elsewhere.

A section says which lists it is about by a comment below its heading: ``<!-- screen: vm instance -->``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from widgets.field_list import Fact

_HERE = Path(__file__).resolve().parent.parent
#: In an installed package, and in a checkout.
_PLACES = (_HERE / "guide", _HERE.parent / "docs" / "guide")
#: Language of the console -> directory of the guide.
_DIRECTORIES = {"zh_CN": "zh"}
_HEADING = re.compile(r"(#+) (.*)")
_SCREENS = re.compile(r"<!-- screen: ([a-z -]+) -->")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_EMPHASIS = re.compile(r"\*(\S(?:[^*]*\S)?)\*")
_ITEM = re.compile(r"(\s*)([*-]|\d+\.) (.*)")


@dataclass
class Section:
    """A heading, how deep it is, what stands below it up to the next heading, and which lists it is about."""

    title: str
    depth: int
    lines: list[str] = field(default_factory=list)
    screens: frozenset[str] = frozenset()


def chapters(language: str) -> list[Path]:
    """The files of the guide in a language; English when there is none in it; none when the guide is not there."""
    for place in _PLACES:
        for name in (_DIRECTORIES.get(language, language), "en"):
            found = sorted((place / name).glob("*.md"))
            if found:
                return found
    return []


def sections(text: str) -> list[Section]:
    """A chapter in sections."""
    found = [Section("", 0)]
    fenced = False
    for line in text.splitlines():
        fenced ^= line.startswith("```")
        heading = None if fenced else _HEADING.fullmatch(line)
        names = _SCREENS.fullmatch(line)
        if heading:
            found.append(Section(heading[2], len(heading[1])))
        elif names:
            found[-1].screens = frozenset(names[1].split())
        else:
            found[-1].lines.append(line)
    return found


def about(screen: str, language: str) -> list[Fact]:
    """What the guide says of a list: each section that names it, with those below that name no other."""
    facts: list[Fact] = []
    for path in chapters(language):
        depth = 0
        for section in sections(path.read_text(encoding="utf-8")):
            if screen in section.screens:
                depth = section.depth
            elif not depth or section.depth <= depth or section.screens:
                depth = 0
                continue
            facts += [Fact(_plain(section.title), "", heading=True), *_facts(section.lines), Fact("", " ")]
    return facts


def _plain(text: str) -> str:
    """Markdown's signs taken out; what people type stays as it is."""
    pieces = _LINK.sub(r"\1", text).split("`")
    # Every other piece is code: its stars are what people type.
    pieces[::2] = [_EMPHASIS.sub(r"\1", piece.replace("**", "")) for piece in pieces[::2]]
    return "".join(pieces)


def _facts(lines: list[str]) -> Iterator[Fact]:
    """A section's lines as facts: paragraphs are joined, tables become names and values, code stays as it is."""
    held: list[str] = []
    fenced = False
    for line in [*lines, ""]:
        code = line.startswith("```")
        item = _ITEM.match(line)
        if held and (code or item or not line.strip() or line.startswith("|")) and not fenced:
            yield Fact("", _plain(_joined(held)))
            held = []
        if code:
            fenced = not fenced
        elif fenced:
            yield Fact("", f"    {line}" if line else " ", "success")
        elif line.startswith("|"):
            cells = [_plain(cell.strip()) for cell in line.strip().strip("|").split("|")]
            if not set("".join(cells)) <= set("-: "):
                yield Fact(cells[0], "  ".join(cell for cell in cells[1:] if cell) or " ")
        elif item:
            sign = "-" if item[2] in "*-" else item[2]
            held = [f"{item[1]}{sign} {item[3]}"]
        elif line.strip():
            held.append(line.strip())


def _joined(lines: list[str]) -> str:
    """Lines of one paragraph; scripts without blanks are joined without one."""
    text = lines[0].rstrip()
    for line in lines[1:]:
        text += line if not (text[-1:].isascii() or line[:1].isascii()) else f" {line}"
    return text
