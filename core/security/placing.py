"""Where certificates belong on a host: hostd's below its home, libvirtd's where libvirt looks for them.

A plan is made first, and shown; carried out, all is checked before the first file is written.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.errors import InvalidInput, NotFound
from core.files import cannot_write, make_directory, refuse_existing, write_file
from core.i18n import N_
from core.security.authority import CA_CERT, HOSTD, LIBVIRT, list_all
from core.security.certificates import check_pair, has_address, not_for_address, read_bytes

#: Where hostd's own are, below its home (as in hostd.settings).
HOSTD_PLACE = "pki"
#: File in the bundle -> where libvirt looks for it, and its mode.
LIBVIRT_PLACES: Mapping[str, tuple[str, int]] = {
    "cacert.pem": ("etc/pki/CA/cacert.pem", 0o644),
    "servercert.pem": ("etc/pki/libvirt/servercert.pem", 0o644),
    "serverkey.pem": ("etc/pki/libvirt/private/serverkey.pem", 0o600),
    "clientcert.pem": ("etc/pki/libvirt/clientcert.pem", 0o644),
    "clientkey.pem": ("etc/pki/libvirt/private/clientkey.pem", 0o600),
}
#: The daemon that listens: libvirtd itself, or virtproxyd where libvirt runs as many daemons.
LIBVIRT_CONFIGURATIONS = ("etc/libvirt/libvirtd.conf", "etc/libvirt/virtproxyd.conf")


@dataclass(frozen=True)
class Copy:
    """A file and where it goes."""

    source: Path
    target: Path
    mode: int


@dataclass(frozen=True)
class Lines:
    """Settings of a libvirt daemon: key -> value as it is written there."""

    file: Path
    values: Mapping[str, str]

    def lines(self) -> list[str]:
        """As they are written."""
        return [f"{key} = {value}" for key, value in self.values.items()]

    def merged(self, text: str) -> str:
        """The file with these settings: each at its place, be it only a comment there, or else at the end."""
        for key, value in self.values.items():
            line = f"{key} = {value}"
            active = re.compile(rf"^[ \t]*{key}[ \t]*=.*$", re.MULTILINE)
            shown = re.compile(rf"^#[ \t]*{key}[ \t]*=.*$", re.MULTILINE)
            if active.search(text):
                text = active.sub(line, text)
            elif shown.search(text):
                text = shown.sub(rf"\g<0>\n{line}", text, count=1)
            else:
                text = f"{text.rstrip()}\n{line}\n" if text.strip() else f"{line}\n"
        return text


@dataclass(frozen=True)
class Plan:
    """What goes where."""

    files: tuple[Copy, ...]
    settings: tuple[Lines, ...] = ()

    def carry_out(self, *, renew: bool = False) -> None:
        """Do it; every file is replaced as a whole, the certificates last.

        Raises:
            Refused: a file is there already (and not ``renew``), or cannot be written.
        """
        if not renew:
            refuse_existing(copy.target for copy in self.files)
        made = [(copy, read_bytes(copy.source)) for copy in self.files]
        for copy, data in made:
            make_directory(copy.target.parent, 0o700 if copy.mode == 0o600 else 0o755)
            write_file(copy.target, data, copy.mode)
        for settings in self.settings:
            try:
                before = settings.file.read_text(encoding="utf-8")
                mode = stat.S_IMODE(settings.file.stat().st_mode)
            except OSError as error:
                raise cannot_write(settings.file, error) from error
            after = settings.merged(before)
            if after != before:
                write_file(settings.file, after.encode(), mode)


def _sources(bundle: Path, kind: str, names: tuple[str, ...]) -> dict[str, Path]:
    """The files of a bundle that was handed over: its directory, or the one inside of this kind."""
    place = bundle / kind if (bundle / kind).is_dir() else bundle
    if not place.is_dir():
        raise NotFound(N_("{directory} is no directory."), directory=str(bundle))
    for name in names:
        if not (place / name).is_file():
            raise NotFound(
                N_("There is no {file} in {directory}."),
                remedy=N_("Name the directory that `dosvm cert issue` made for this host."),
                file=name,
                directory=str(place),
            )
    return {name: place / name for name in names}


def for_hostd(bundle: Path, home: Path, address: str = "", password: str = "") -> Plan:
    """What hostd of the home needs; ``address`` is the one it listens on, if it does.

    Raises:
        NotFound: the bundle is none.
        InvalidInput: its files do not belong together, or are not this host's.
    """
    found = _sources(bundle, HOSTD, (CA_CERT, "key.pem", "cert.pem"))
    certificate = check_pair(found["cert.pem"], found["key.pem"], found[CA_CERT], password)
    if not (certificate.server and certificate.client):
        raise InvalidInput(N_("{file} is not the certificate of a host."), file=str(certificate.file))
    if address and not has_address(certificate, address):
        raise not_for_address(certificate, address)
    place = home / HOSTD_PLACE
    modes = {CA_CERT: 0o644, "key.pem": 0o600, "cert.pem": 0o644}
    return Plan(tuple(Copy(source, place / name, modes[name]) for name, source in found.items()))


def for_libvirt(bundle: Path, root: Path) -> Plan:
    """What libvirtd of the machine below ``root`` needs: files where it looks for them, and lines of its settings.

    Raises:
        NotFound: the bundle is none.
        InvalidInput: its files do not belong together.
    """
    found = _sources(bundle, LIBVIRT, tuple(LIBVIRT_PLACES))
    for side in ("server", "client"):
        check_pair(found[f"{side}cert.pem"], found[f"{side}key.pem"], found[CA_CERT])
    copies = tuple(Copy(found[name], root / place, mode) for name, (place, mode) in LIBVIRT_PLACES.items())
    values = {
        "listen_tls": "1",
        "listen_tcp": "0",
        "key_file": '"/etc/pki/libvirt/private/serverkey.pem"',
        "cert_file": '"/etc/pki/libvirt/servercert.pem"',
        "ca_file": '"/etc/pki/CA/cacert.pem"',
        "tls_no_verify_certificate": "0",
    }
    settings = [Lines(root / file, values) for file in LIBVIRT_CONFIGURATIONS if (root / file).exists()]
    return Plan(copies, tuple(settings))


def known_files(authority: Path, home: Path, root: Path = Path("/")) -> list[Path]:
    """Certificate files of a machine that are there: the authority's and what it issued, hostd's, libvirt's."""
    found = list_all(authority)
    found += [home / HOSTD_PLACE / name for name in (CA_CERT, "cert.pem")]
    return [*(file for file in found if file.exists()), *libvirt_files(root)]


def libvirt_files(root: Path = Path("/")) -> list[Path]:
    """The certificates that are where libvirt looks for them."""
    places = [root / place for name, (place, _mode) in LIBVIRT_PLACES.items() if name.endswith("cert.pem")]
    return [file for file in places if file.exists()]
