"""`dosvm`: the console without words, one command with them.

A command pays for what it uses only: Textual, SQLAlchemy, msgspec and the like are never imported for
``dosvm AREA VERB``, nor are the declarations of other areas (a test holds this).

Exit codes: 0 done, 1 refused or failed (one line on standard error), 2 the command line is wrong.
"""

from __future__ import annotations

import gc
import os
import resource as limits
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from core.errors import DosvmError, UsageError, label_fields_by
from core.i18n import LANGUAGES, N_, language_from_environment, language_meant, set_language
from dosvm_tui.commands import streams
from dosvm_tui.commands.report import report
from dosvm_tui.commands.words import EVERYWHERE, part, unknown

if TYPE_CHECKING:
    from screens.spec import Field

DONE, FAILED, USAGE = 0, 1, 2
#: What a shell reports for a program ended by Ctrl+C.
INTERRUPTED = 130


def _init(argv: Sequence[str]) -> int:
    from dosvm_tui.commands.init import run

    return run(argv)


def _upgrade(argv: Sequence[str]) -> int:
    from dosvm_tui.commands.upgrade import run

    return run(argv)


def _hostd(argv: Sequence[str]) -> int:
    from dosvm_tui.commands.hostd import run

    return run(argv)


def _cert(argv: Sequence[str]) -> int:
    from dosvm_tui.commands.cert import run

    return run(argv)


def _console_settings(argv: Sequence[str]) -> int:
    from dosvm_tui.commands.console_settings import run

    return run(argv)


def _doctor(argv: Sequence[str]) -> int:
    from dosvm_tui.commands.doctor import run

    return run(argv)


#: Commands that are not resources.
BUILT_IN: dict[str, tuple[Callable[[Sequence[str]], int], str]] = {
    "init": (_init, N_("make a new cloud: configuration, key, database, first administrator")),
    "upgrade": (_upgrade, N_("bring the database to this version of DOSVM")),
    "hostd": (_hostd, N_("the daemon of this host: `dosvm hostd run`")),
    "cert": (_cert, N_("certificates of hosts and consoles: make, renew, list, put in place")),
    "console-settings": (_console_settings, N_("which hostds this machine's console and commands ask")),
    "doctor": (_doctor, N_("check this machine and say what to do about each finding")),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; every error becomes one line."""
    # Passwords pass through this memory.
    limits.setrlimit(limits.RLIMIT_CORE, (0, 0))
    streams.prepare()
    words = list(sys.argv[1:] if argv is None else argv)
    set_language(language_from_environment())
    label_fields_by(_label)
    try:
        _set_language(words)
        streams.check_text(words)
        code = _run(words)
        sys.stdout.flush()
    except UsageError as error:
        report(error)
        return USAGE
    except DosvmError as error:
        report(error, _fields(words))
        return FAILED
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has seen enough; Python would complain again when it closes stdout.
        streams.let_go()
        return FAILED
    except Exception as error:
        if os.environ.get("DOSVM_DEBUG"):
            raise
        full = streams.unwritten(error)
        if full is not None:
            streams.let_go()
        kind = type(error).__name__
        itself = N_("An error in dosvm itself ({kind}: {text}); DOSVM_DEBUG=1 shows where.")
        report(full or DosvmError(itself, kind=kind, text=str(error)))
        return FAILED
    return code


def _run(words: list[str]) -> int:
    if not words:
        return _console()
    front, area, rest = _split(words)
    if area is None:
        return _without_area(front)
    if area in BUILT_IN:
        return BUILT_IN[area][0]([*front, *rest])
    from screens import registry

    if area not in registry.NAMES:
        raise unknown(area, [*BUILT_IN, *registry.NAMES], N_("There is no command {word}."))
    spec = registry.resource(area)
    from dosvm_tui.commands import resource

    before, verb, after = _split(rest)
    arguments = [*front, *before, *after]
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if verb is None or "--help" in options or "-h" in options:
        from dosvm_tui.commands.help import help_for

        print(help_for(spec, verb))
        return DONE if verb is not None or arguments else USAGE
    return resource.run(spec, verb, arguments)


def _split(words: Sequence[str]) -> tuple[list[str], str | None, list[str]]:
    """The options before the first bare word, that word, and what follows it."""
    takes = {f"--{o.name}" for o in EVERYWHERE if o.takes} | {f"-{o.short}" for o in EVERYWHERE if o.takes and o.short}
    skip = False
    for number, word in enumerate(words):
        if skip:
            skip = False
        elif word in takes:
            skip = True
        elif not word.startswith("-"):
            return list(words[:number]), word, list(words[number + 1 :])
    return list(words), None, []


def _without_area(words: list[str]) -> int:
    parted = part(words, EVERYWHERE)
    if parted.flags.get("version"):
        from core.version import version

        print(f"dosvm {version()}")
        return DONE
    if parted.flags.get("help"):
        from dosvm_tui.commands.help import overview

        print(overview({name: text for name, (_run, text) in BUILT_IN.items()}))
        return DONE
    return _console(parted.value("as") or "")


def _console(account: str = "") -> int:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(N_("The console needs a terminal."), remedy=N_("See `dosvm --help` for commands."))
    if os.environ.get("TERM", "dumb") == "dumb":
        raise UsageError(
            N_("This terminal cannot show the console (TERM is dumb)."), remedy=N_("See `dosvm --help` for commands.")
        )
    # What the start makes stays; looking for garbage among it would take a third of the start.
    gc.disable()
    from dosvm_tui.lean import lean

    lean()
    from dosvm_tui.app import run

    return run(account=account) or DONE


def _set_language(words: Sequence[str]) -> None:
    """Speak the language of ``--lang`` if it is there, before all else: errors of parsing are already told in it.

    Raises:
        UsageError: there is no such language.
    """
    options = words[: words.index("--")] if "--" in words else words
    for number, word in enumerate(options):
        name = options[number + 1] if word == "--lang" and number + 1 < len(options) else None
        name = word.removeprefix("--lang=") if word.startswith("--lang=") else name
        if name is None:
            continue
        meant = language_meant(name)
        if not meant:
            known = ", ".join(f"{code.partition('_')[0]} ({own})" for code, own in LANGUAGES.items())
            raise UsageError(
                N_("There is no language {name}."), remedy=N_("These there are: {known}."), name=name, known=known
            )
        set_language(meant)
        return


def _label(operation: str, key: str) -> str:
    from screens import registry  # only for an error that names fields

    return registry.label(operation, key)


def _fields(words: Sequence[str]) -> tuple[Field, ...]:
    """The fields of the command that failed, to name its options in the error."""
    _front, area, rest = _split(words)
    _before, verb, _after = _split(rest)
    from screens import registry

    if area not in registry.NAMES:
        return ()
    return next((a.fields for a in registry.resource(area).actions if a.verb == verb), ())


if __name__ == "__main__":
    sys.exit(main())
