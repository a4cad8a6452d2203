"""`dosvm doctor`: checks this machine, and says what to do about each finding. Changes nothing."""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import DosvmError
from core.i18n import N_, _, sentences
from core.rules.sizes import GIB, format_size
from dosvm_tui import wiring
from dosvm_tui.commands import output
from dosvm_tui.commands.help import usage
from dosvm_tui.commands.words import EVERYWHERE, part, too_many

if TYPE_CHECKING:
    from core.security.certificates import Certificate
    from hostd.settings import Settings

#: Less free space than this is worth a word.
_LITTLE = 2 * GIB
_LIBVIRT_PATIENCE = 5.0
_PROBE_PATIENCE = 60.0
#: What adjtimex(2) returns when the clock is not kept right by anybody, and the size of its structure.
_TIME_ERROR, _TIMEX_BYTES = 5, 208

OK, WARNING, PROBLEM = "ok", "warning", "problem"
_SIGNS = {OK: "●", WARNING: "!", PROBLEM: "✗"}
_WORDS = {OK: N_("ok"), WARNING: N_("warning"), PROBLEM: N_("problem")}


@dataclass(frozen=True)
class Finding:
    """One check's result: ``level`` as above, a sentence, and what to do, both in the language now set."""

    check: str
    level: str
    text: str
    remedy: str = ""


def run(argv: Sequence[str]) -> int:
    """Print all findings and return 1 when one is a problem, otherwise 0."""
    words = part(argv, EVERYWHERE)
    if words.flags.get("help"):
        print(usage("doctor", ()))
        return 0
    if words.bare:
        raise too_many(words.bare[0], "doctor")
    form = output.format_of(words)
    logging.disable(logging.CRITICAL)  # what hostd's parts would write into its log is said here as findings
    findings = []
    for finding in _examine(wiring.home()):
        findings.append(finding)
        if form == "table":
            _print(finding)
    if form != "table":
        output.write([vars(finding) for finding in findings], form)
    return 1 if any(finding.level == PROBLEM for finding in findings) else 0


def _print(finding: Finding) -> None:
    text = finding.text
    if finding.remedy:
        text = sentences(_(N_("{text}.")).format(text=text.rstrip(".。")), finding.remedy)
    print(output.printable(f"{_SIGNS[finding.level]} {_(_WORDS[finding.level])}  {finding.check}: {text}"), flush=True)


def _examine(home: Path) -> Iterator[Finding]:
    settings = None
    try:
        settings = _settings(home)
        yield Finding(_(N_("Settings")), OK, str(home))
    except DosvmError as error:
        yield Finding(_(N_("Settings")), PROBLEM, error.text())
    if settings is not None:
        yield _checked(N_("Database"), lambda: _database(settings))
        yield from _certificates(settings)
    yield from _virtualisation(settings.libvirt_url if settings is not None else "qemu:///system")
    yield _hostd()
    yield _space(home)
    yield _clock()


def _checked(check: str, examine: Callable[[], str]) -> Finding:
    try:
        return Finding(_(check), OK, examine())
    except DosvmError as error:
        return Finding(_(check), PROBLEM, error.text())


def _settings(home: Path) -> Settings:
    from core.rpc.signature import load_key
    from hostd.settings import load

    settings = load(home)
    load_key(settings.key)
    return settings


def _database(settings: Settings) -> str:
    from core.setup import open_database

    database = open_database(settings)
    try:
        return database.url.render_as_string(hide_password=True)
    finally:
        database.close()


def _certificates(settings: Settings) -> Iterator[Finding]:
    """Hostd's certificate and libvirt's: whether they fit this host, and when they end."""
    from core.security import certificates, placing

    tls = settings.tls
    if tls is None:
        if settings.address:
            text = _(N_("Off: hosts talk signed plain text, and consoles elsewhere cannot log in."))
            yield Finding("TLS", OK, text)
    else:
        try:
            found = certificates.check_pair(tls.certificate, tls.key, tls.authority, tls.password)
            if settings.address and not certificates.has_address(found, settings.address):
                raise certificates.not_for_address(found, settings.address)
        except DosvmError as error:
            yield Finding("TLS", PROBLEM, error.text())
        else:
            yield _life("TLS", found)
            yield from (_life("TLS", each) for each in certificates.read_all(tls.authority))
    for file in placing.libvirt_files():
        try:
            yield _life(_(N_("libvirt's TLS")), certificates.read(file))
        except DosvmError as error:
            yield Finding(_(N_("libvirt's TLS")), PROBLEM, error.text())


def _life(check: str, found: Certificate) -> Finding:
    from core.security.certificates import utc_now

    now = utc_now()
    state = found.state(now)
    if state == "early":
        text = _(N_("{file} is not valid yet.")).format(file=found.file)
        return Finding(check, PROBLEM, text, _(N_("Look at the clocks of this machine and of the one that made it.")))
    if state == "valid":
        return Finding(
            check, OK, _(N_("{file} is valid until {date}.")).format(file=found.file, date=found.ends.date())
        )
    remedy = _(N_("Renew it by `dosvm cert issue --renew`, and put it in its place with --renew as well."))
    if found.authority:
        remedy = _(N_("Renew it by `dosvm cert init --renew`, and bring the new one to every machine."))
    if state == "soon":
        text = _(N_("{file} ends on {date}.")).format(file=found.file, date=found.ends.date())
        return Finding(check, WARNING, text, remedy)
    return Finding(check, PROBLEM, _(N_("{file} has expired.")).format(file=found.file), remedy)


def _virtualisation(url: str) -> Iterator[Finding]:
    from hostd.hypervisor.connection import Connection
    from hostd.hypervisor.probe import Probe

    connection = Connection(url, name="doctor", size=1)
    connection.start()
    try:
        if not connection.wait(_LIBVIRT_PATIENCE):
            yield Finding(
                _(N_("libvirt")),
                PROBLEM,
                connection.reason or _(N_("It does not answer.")),
                _(N_("Start libvirtd (`make services`, or `systemctl start libvirtd`).")),
            )
            return
        yield Finding(_(N_("libvirt")), OK, url)
        with tempfile.TemporaryDirectory(prefix="dosvm-doctor-") as scratch:
            probe = Probe(connection, Path(scratch))
            probe.start()
            found = probe.wait(_PROBE_PATIENCE)
        if found.kind == "kvm":
            yield Finding(_(N_("Virtualisation")), OK, "KVM")
        else:
            yield Finding(
                _(N_("Virtualisation")),
                WARNING,
                f"TCG. {found.reason}".strip(),
                _(N_("VMs run, but slowly; enable virtualisation in the firmware or the outer hypervisor.")),
            )
    except DosvmError as error:
        yield Finding(_(N_("Virtualisation")), PROBLEM, error.text())
    finally:
        connection.close()


def _hostd() -> Finding:
    try:
        wiring.await_hostd(patience=0.0)
    except DosvmError as error:
        return Finding("hostd", WARNING, error.text())
    return Finding("hostd", OK, _(N_("It answers.")))


def _space(home: Path) -> Finding:
    place = next(path for path in (home, *home.parents) if path.exists())
    free = shutil.disk_usage(place).free
    text = _(N_("{free} free below {place}.")).format(free=format_size(free), place=place)
    return Finding(_(N_("Free space")), WARNING if free < _LITTLE else OK, text)


def _clock() -> Finding:
    check = _(N_("Clock"))
    libc = ctypes.CDLL(None, use_errno=True)
    state = libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    if state < 0:
        return Finding(check, WARNING, os.strerror(ctypes.get_errno()))
    if state == _TIME_ERROR:
        return Finding(
            check,
            WARNING,
            _(N_("Nobody keeps it right.")),
            _(N_("Run an NTP client; hosts whose clocks differ by minutes refuse each other's requests.")),
        )
    return Finding(check, OK, _(N_("It is kept right.")))
