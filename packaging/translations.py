"""Gathers texts from the code into the catalogues, checks that none is missing, and compiles them.

Usage: translations.py gather|check|compile
"""

from __future__ import annotations

import ast
import string
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("core", "dosvm_tui", "hostd", "screens", "widgets", "themes")
LOCALES = ("zh_CN",)
#: Function -> how many of its first arguments are texts.
KEYWORDS = {"_": 1, "N_": 1, "ngettext": 2}


def catalogue_path(locale: str) -> Path:
    """Where the translations of a language are."""
    return ROOT / "core" / "locale" / locale / "LC_MESSAGES" / "dosvm.po"


def gather_texts() -> Catalog:
    """All texts marked in the code."""
    catalogue = Catalog(project="dosvm", charset="utf-8")
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for text in texts_of(path.read_text(encoding="utf-8")):
                catalogue.add(text)
    return catalogue


def texts_of(source: str) -> Iterator[str | tuple[str, ...]]:
    """The marked texts of one file. Reads the syntax tree: Babel's own reader misses calls inside f-strings."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KEYWORDS):
            continue
        found = tuple(
            argument.value
            for argument in node.args[: KEYWORDS[node.func.id]]
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
        )
        if len(found) == KEYWORDS[node.func.id] and all(found):
            yield found if len(found) > 1 else found[0]


def read(locale: str) -> Catalog:
    """The catalogue of a language as it is."""
    with catalogue_path(locale).open("rb") as file:
        return read_po(file, locale=locale)


def gather() -> int:
    """Write new texts into the catalogues, drop those that are no longer used, and say what lacks a translation."""
    texts = gather_texts()
    for locale in LOCALES:
        path = catalogue_path(locale)
        path.parent.mkdir(parents=True, exist_ok=True)
        catalogue = read(locale) if path.exists() else Catalog(locale=locale, project="dosvm", fuzzy=False)
        created = catalogue.creation_date
        catalogue.update(texts, no_fuzzy_matching=True)
        catalogue.obsolete.clear()
        # The header says nothing that changes by itself: a catalogue differs when a text does.
        catalogue.creation_date = created
        catalogue.project, catalogue.version = "dosvm", "1"
        catalogue.last_translator = "the authors of DOSVM"
        catalogue.msgid_bugs_address = "the project's issues"
        with path.open("wb") as file:
            write_po(file, catalogue, sort_output=True, no_location=True, omit_header=False, width=120)
        missing = [message for message in catalogue if message.id and not _translated(message)]
        print(f"{locale}: {len(catalogue)} texts, {len(missing)} without translation")
        for message in missing:
            print(f"  {message.id!r}")
    return 0


def check() -> int:
    """Complain about texts without translation and about placeholders that differ; 1 when there is one."""
    texts = gather_texts()
    problems = []
    for locale in LOCALES:
        catalogue = read(locale)
        for text in texts:
            if text.id:
                problems += [f"{locale}: {problem}" for problem in _problems(text, catalogue.get(text.id))]
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        print("Run `make translations`, then fill in core/locale/*/LC_MESSAGES/dosvm.po.", file=sys.stderr)
    return 1 if problems else 0


def _problems(text: Message, message: Message | None) -> Iterator[str]:
    if message is None or not _translated(message):
        yield f"no translation: {text.id!r}"
        return
    wanted = {name for part in _forms(text.id) for name in placeholders(part)}
    for form in _forms(message.string):
        if placeholders(form) != wanted:
            yield f"placeholders differ: {text.id!r} and {form!r}"


def _forms(text: object) -> tuple[str, ...]:
    return tuple(str(part) for part in text) if isinstance(text, list | tuple) else (str(text),)


def _translated(message: Message) -> bool:
    return all(_forms(message.string)) and bool(message.string)


def placeholders(text: str) -> set[str]:
    """The names in braces of a template."""
    try:
        return {name for _literal, name, _spec, _conversion in string.Formatter().parse(text) if name is not None}
    except ValueError:
        return set()


def compile_catalogues() -> int:
    """Make the binary catalogues that the program reads."""
    for locale in LOCALES:
        with catalogue_path(locale).with_suffix(".mo").open("wb") as file:
            write_mo(file, read(locale))
    return 0


COMMANDS = {"gather": gather, "check": check, "compile": compile_catalogues}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    sys.exit(COMMANDS[sys.argv[1]]())
