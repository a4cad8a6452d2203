"""`dosvm cert`: the cloud's own certification authority, and what it issues, put in its place on a host."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from core.errors import InvalidInput, UsageError
from core.i18n import N_, _
from core.security import authority, certificates, placing
from dosvm_tui import wiring
from dosvm_tui.commands import output
from dosvm_tui.commands.help import usage
from dosvm_tui.commands.options import secret_from
from dosvm_tui.commands.words import EVERYWHERE, Option, Words, part, too_many
from screens.spec import Column, Kind

_CA = Option("ca", "DIR", N_("the directory of the authority; ca in DOSVM_HOME otherwise"))
_CA_PASSWORD = Option("ca-password-file", "FILE", N_("the first line is the password of the authority's keys"))
_KEY_PASSWORD = Option("key-password-file", "FILE", N_("the first line is the password of the host's or console's key"))
_DAYS = Option("days", "NUMBER", N_("how long it is valid"))
_RENEW = Option("renew", "", N_("replace what is there"))
_INSTALL = Option("install", "", N_("do it; otherwise it is only shown"))
_ROOT = Option("root", "DIR", N_("put everything below this directory rather than below /"))

#: Verb -> its words after the verb, its options, what it does (msgid).
VERBS: Mapping[str, tuple[str, tuple[Option, ...], str]] = {
    "init": (
        "",
        (_CA, Option("name", "TEXT", N_("what the authority is called")), _DAYS, _CA_PASSWORD, _RENEW),
        N_("make the cloud's certification authority"),
    ),
    "issue": (
        "NAME",
        (
            Option("ip", "ADDRESS", N_("an IP address of that machine; may be given several times"), many=True),
            Option("dns", "NAME", N_("another host name of it; may be given several times"), many=True),
            Option("console", "", N_("the machine only has a console: nothing that libvirtd or hostd would take")),
            _DAYS,
            _CA,
            _CA_PASSWORD,
            _KEY_PASSWORD,
            _RENEW,
        ),
        N_("make the certificates of a host or a console"),
    ),
    "list": ("", (_CA,), N_("all certificates found here, and when they end")),
    "hostd": ("NAME|DIR", (_CA, _KEY_PASSWORD, _INSTALL, _RENEW), N_("what hostd of this host needs")),
    "libvirt": ("NAME|DIR", (_CA, _ROOT, _INSTALL, _RENEW), N_("what libvirtd of this host needs")),
}

KINDS = {"authority": N_("authority"), "host": N_("host"), "client": N_("client")}
COLUMNS = (
    Column("name", N_("Name"), 24),
    Column("kind", N_("Kind"), 10, Kind.CHOICE, words=KINDS),
    Column("state", N_("State"), 14, Kind.STATE),
    Column("days", N_("Days left"), 9, Kind.INTEGER),
    Column("ends", N_("Valid until"), 20, Kind.TIME),
    Column("addresses", N_("IP addresses"), 20, Kind.LIST),
    Column("names", N_("Host names"), 20, Kind.LIST, from_width=140),
    Column("file", N_("Certificate file"), 40),
)


def run(argv: Sequence[str]) -> int:
    """Do what the verb says and return the exit code.

    Raises:
        UsageError: the words are wrong.
        DosvmError: it was refused; says why. Nothing half-made is left.
    """
    every = {option.name: option for _words, options, _text in VERBS.values() for option in options}
    words = part(argv, (*EVERYWHERE, *every.values()))
    verb = words.bare[0] if words.bare else ""
    if words.flags.get("help") or verb not in VERBS:
        known = verb if verb in VERBS else ""
        print(_help(known))
        if not words.flags.get("help") and verb:
            raise UsageError(N_("There is no command {word}."), word=f"cert {verb}")
        return 0 if words.flags.get("help") else 2
    takes, options, _text = VERBS[verb]
    allowed = {option.name for option in (*EVERYWHERE, *options)}
    for name in (*words.values, *words.flags):
        if name not in allowed:
            raise UsageError(N_("There is no option {word}."), word=f"--{name}")
    rest = words.bare[1:]
    if takes and not rest:
        raise UsageError(N_("{option} is missing."), option=takes)
    if len(rest) > (1 if takes else 0):
        raise too_many(rest[-1], f"cert {verb}")
    return _RUN[verb](words, rest[0] if rest else "")


def _help(verb: str) -> str:
    if verb:
        takes, options, _text = VERBS[verb]
        return usage(" ".join(filter(None, ("cert", verb, takes))), options)
    width = max(len(f"{name} {takes}") for name, (takes, _options, _text) in VERBS.items())
    lines = [f"  {f'{name} {takes}':{width}}  {_(text)}" for name, (takes, _options, text) in VERBS.items()]
    return "\n".join([_("Usage: {words}").format(words="dosvm cert VERB [OPTIONS]"), "", *lines])


def _directory(words: Words) -> Path:
    given = words.value("ca")
    return Path(given).absolute() if given else wiring.home() / "ca"


def _secret(words: Words, option: str) -> str:
    path = words.value(option)
    return secret_from(path) if path is not None else ""


def _days(words: Words, usual: int) -> int:
    text = words.value("days")
    if text is None:
        return usual
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise UsageError(N_("{option}: {text} is no whole number."), option="--days", text=text)
    return int(text)


def _init(words: Words, _rest: str) -> int:
    made = authority.create(
        _directory(words),
        name=words.value("name") or "DOSVM",
        days=_days(words, authority.AUTHORITY_DAYS),
        password=_secret(words, "ca-password-file"),
        renew=bool(words.flags.get("renew")),
    )
    for file in made:
        found = certificates.read(file)
        print(_(N_("{name}: {file}, valid until {date}")).format(name=found.name, file=file, date=found.ends.date()))
    print(_(N_("Keep the keys beside them safe: who has them is let in everywhere.")))
    return 0


def _issue(words: Words, name: str) -> int:
    directory, renew = _directory(words), bool(words.flags.get("renew"))
    addresses, names = words.values.get("ip", []), words.values.get("dns", [])
    console = bool(words.flags.get("console"))
    if renew:
        before, was_console = authority.holder_of(directory, name)
        addresses = addresses or list(before.addresses)
        names = names or list(before.names)
        console = words.flags.get("console", was_console)
    place = authority.issue(
        directory,
        authority.Holder.checked(name, addresses, names),
        console=console,
        days=_days(words, authority.DAYS),
        password=_secret(words, "ca-password-file"),
        key_password=_secret(words, "key-password-file"),
        renew=renew,
    )
    print(_(N_("Made in {directory}.")).format(directory=place))
    if console:
        says = N_("Bring it to {name} by a safe way; there: `dosvm console-settings edit`.")
    else:
        says = N_("Bring it to {name} by a safe way; there: `dosvm cert hostd DIR` and `dosvm cert libvirt DIR`.")
    print(_(says).format(name=name))
    return 0


def _list(words: Words, _rest: str) -> int:
    rows, troubles = [], []
    for file in placing.known_files(_directory(words), wiring.home()):
        try:
            rows.append(_row(certificates.read(file)))
        except InvalidInput as error:
            troubles.append(error.text())
    form = output.format_of(words)
    if form != "table":
        output.write(rows, form)
    elif rows:
        output.write_rows(rows, COLUMNS)
    else:
        print(_(N_("There are no certificates here; `dosvm cert init` begins.")))
    for text in troubles:
        print(output.printable(text))
    return 1 if troubles else 0


def _row(found: certificates.Certificate) -> dict[str, Any]:
    now = certificates.utc_now()
    return {
        "name": found.name,
        "kind": "authority" if found.authority else "host" if found.server else "client",
        "state": found.state(now),
        "days": found.days_left(now),
        "ends": found.ends.replace(tzinfo=None).isoformat(),
        "addresses": list(found.addresses),
        "names": list(found.names),
        "file": str(found.file),
    }


def _bundle(words: Words, given: str) -> Path:
    """A directory as it was handed over, or the name of a machine for which it was issued here."""
    path = Path(given)
    if "/" in given or path.is_dir():
        return path.absolute()
    return authority.issued(_directory(words), given)


def _hostd(words: Words, given: str) -> int:
    home = wiring.home()
    plan = placing.for_hostd(_bundle(words, given), home, _address(home), _secret(words, "key-password-file"))
    _carry_out(plan, words)
    print(_(N_("In {file} on every host of the cloud, then restart hostd there:")).format(file=home / "dosvm.toml"))
    print("\n[ssl]\nuse_ssl = true")
    if words.value("key-password-file"):
        print(_(N_('ssl_password = "the password of the key"')))
    return 0


def _address(home: Path) -> str:
    """The address that hostd of this host is to listen on; empty when none is set (yet)."""
    try:
        found = tomllib.loads((home / "dosvm.toml").read_text(encoding="utf-8"))["network"]["localhost"]
        return str(ip_address(found))
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _libvirt(words: Words, given: str) -> int:
    plan = placing.for_libvirt(_bundle(words, given), Path(words.value("root") or "/"))
    _carry_out(plan, words)
    print(_(N_("Then let libvirtd listen. With systemd:")))
    print("\n    systemctl stop libvirtd.service\n    systemctl enable --now libvirtd-tls.socket\n")
    print(_(N_("Without systemd: start it as `libvirtd --listen`.")))
    return 0


def _carry_out(plan: placing.Plan, words: Words) -> None:
    install = bool(words.flags.get("install"))
    if install:
        plan.carry_out(renew=bool(words.flags.get("renew")))
    for file in plan.files:
        print(f"{file.source} -> {file.target} ({file.mode:04o})")
    for settings in plan.settings:
        print(_(N_("In {file}:")).format(file=settings.file))
        for line in settings.lines():
            print(f"    {line}")
    if not install:
        print(_(N_("Nothing was done; --install does it.")))


_RUN: Mapping[str, Callable[[Words, str], int]] = {
    "init": _init,
    "issue": _issue,
    "list": _list,
    "hostd": _hostd,
    "libvirt": _libvirt,
}
