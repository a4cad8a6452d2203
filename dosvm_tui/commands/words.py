"""The words of a command line, parted into options and bare words. Knows no resource."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from core.errors import UsageError
from core.i18n import N_


class Option(NamedTuple):
    """One option: how it is written and what it takes.

    Attributes:
        name: as after ``--``.
        short: the letter after ``-``, or empty.
        takes: what its value is called in the help; empty for a flag, which also has a ``--no-`` form.
        help: msgid.
        many: whether it may be given several times.
    """

    name: str
    takes: str = ""
    help: str = ""
    short: str = ""
    many: bool = False


#: Options that every command takes.
EVERYWHERE: tuple[Option, ...] = (
    Option("as", "ACCOUNT", N_("who you are; DOSVM_ACCOUNT otherwise")),
    Option("password-file", "FILE", N_("the first line is your password; DOSVM_PASSWORD or a prompt otherwise")),
    Option("output", "table|json|yaml", N_("how the answer is written"), short="o"),
    Option("from", "FILE", N_("values from a YAML file, in the form that `show -o yaml` prints"), short="f"),
    Option("wait", "", N_("wait until the host has done it (the default); --no-wait returns at once")),
    Option("yes", "", N_("do not ask for confirmation"), short="y"),
    Option("lang", "en|zh", N_("the language of texts")),
    Option("help", "", N_("this help"), short="h"),
    Option("version", "", N_("the version")),
)


class Words:
    """What was parsed: bare words, values of options (several for those given several times), flags."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.bare: list[str] = []
        self.values: dict[str, list[str]] = {}
        self.flags: dict[str, bool] = {}

    def value(self, name: str) -> str | None:
        """The last value of an option, or None."""
        return self.values[name][-1] if name in self.values else None


def too_many(word: str, command: str) -> UsageError:
    """What is said of a word for which a command (``vm start``) has no place."""
    return UsageError(
        N_("{word} is one word too many."),
        remedy=N_("`dosvm {command} --help` shows how it is called."),
        word=word,
        command=command,
    )


def part(argv: Sequence[str], options: Sequence[Option]) -> Words:
    """Part words into options and bare words; ``--`` ends the options.

    Raises:
        UsageError: an option is unknown, lacks its value, has one too many, or is given twice.
    """
    known = {f"--{option.name}": option for option in options}
    known |= {f"-{option.short}": option for option in options if option.short}
    result = Words()
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            result.bare += rest
            break
        if not word.startswith("-") or word == "-":
            result.bare.append(word)
            continue
        _take(word, rest, known, result)
    return result


def _take(word: str, rest: list[str], known: Mapping[str, Option], result: Words) -> None:
    name, equals, value = word.partition("=")
    if not word.startswith("--") and len(word) > 2 and word[:2] in known:  # -ojson
        name, equals, value = word[:2], "=", word[2:].removeprefix("=")
    option = known.get(name)
    if option is None:
        positive = known.get("--" + name.removeprefix("--no-")) if name.startswith("--no-") else None
        if positive is None or positive.takes or equals:
            raise unknown(name, [n for n in known if n.startswith("--")], N_("There is no option {word}."))
        result.flags[positive.name] = False
    elif not option.takes:
        if equals:
            raise UsageError(N_("{option} takes no value."), option=name)
        result.flags[option.name] = True
    else:
        if not equals:
            if not rest:
                raise UsageError(N_("{option} needs a value: {takes}."), option=name, takes=option.takes)
            value = rest.pop(0)
        if option.name in result.values and not option.many:
            raise UsageError(N_("{option} is given twice."), option=name)
        result.values.setdefault(option.name, []).append(value)


def unknown(word: str, known: Sequence[str], sentence: str) -> UsageError:
    """The error for a word that is none of those known, with the nearest one as a suggestion."""
    from difflib import get_close_matches  # only for mistakes: it costs 5 ms

    near = get_close_matches(word, known, 1)
    remedy = N_("Did you mean {near}?") if near else N_("See `dosvm --help`.")
    return UsageError(sentence, remedy=remedy, word=word, near=near[0] if near else "")
