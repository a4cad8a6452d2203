"""`dosvm console-settings`: which hostds the console and the commands of this machine ask (manual 13.2.2)."""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import UsageError
from core.i18n import N_, _
from core.rpc import ways
from dosvm_tui.commands import output
from dosvm_tui.commands.help import usage
from dosvm_tui.commands.options import options_of, values_of
from dosvm_tui.commands.words import EVERYWHERE, Words, part
from screens.resources.console_settings import FIELDS, SPEC


def run(argv: Sequence[str]) -> int:
    """Do what the verb says and return the exit code; needs no account: it is about this machine.

    Raises:
        UsageError: the words are wrong.
        DosvmError: no host answers, or the parameters break a rule; nothing was saved.
    """
    options = tuple(options_of(FIELDS))
    words = part(argv, (*EVERYWHERE, *options))
    if words.flags.get("help"):
        print(usage("console-settings show|edit|test", options))
        return 0
    if words.bare not in (["show"], ["edit"], ["test"]):
        raise UsageError(N_("Usage: dosvm console-settings show|edit|test."))
    own = {option.name for option in options}
    if words.bare != ["edit"] and (given := own & {*words.values, *words.flags}):
        raise UsageError(N_("There is no option {word}."), word=f"--{min(given)}")
    return {"show": _show, "edit": _edit, "test": _test}[words.bare[0]](words)


def _show(words: Words) -> int:
    from core.rpc.parameters import row

    found = row()
    form = output.format_of(words)
    if form == "table":
        output.write_details({key: value for key, value in found.items() if key != "name"}, SPEC.columns)
    else:
        output.write(found, form)
    return 1 if found["error"] else 0


def _edit(words: Words) -> int:
    from core.rpc import parameters

    before = parameters.present()
    given = {"hosts": list(before.hosts), "use_ssl": before.use_ssl}
    given |= {key: getattr(before, key) for key in ("ssl_cert", "ssl_key", "ssl_ca")}
    tried = parameters.save(values_of(FIELDS, words, given))
    print(_(N_("Saved in {file}.")).format(file=ways.settings_file()))
    _print(tried)
    return 0


def _test(_words: Words) -> int:
    path = ways.settings_file()
    tried = ways.try_all(ways.load(path), path.parent)
    _print(tried)
    return 0 if any(one.error is None for one in tried) else 1


def _print(tried: Sequence[ways.Tried]) -> None:
    from core.rpc.parameters import told

    for one in tried:
        print(output.printable(f"{one.where}: {told(one)}"))
