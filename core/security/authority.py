"""The cloud's own certification authority, kept in a directory: it makes the certificates of hosts and consoles.

::

    DIRECTORY/hostd/cacert.pem cakey.pem        signs what hostd and consoles hold
    DIRECTORY/libvirt/cacert.pem cakey.pem      signs what libvirtd and its clients hold
    DIRECTORY/issued/NAME/hostd|libvirt|console/...   what is handed to the machine NAME

There are two, because libvirtd lets every holder of a certificate of its authority command QEMU as root: a machine
that only has a console must not be one of them.
"""

from __future__ import annotations

import ipaddress
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from core.errors import InvalidInput, NotFound
from core.files import cannot_write, make_directory, refuse_existing, write_file
from core.i18n import N_
from core.rules import names as name_rules
from core.security.certificates import Certificate, check_key, read, read_bytes, utc_now

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

HOSTD, LIBVIRT, CONSOLE = "hostd", "libvirt", "console"
AUTHORITY_DAYS, DAYS, LONGEST_DAYS = 3650, 730, 7300
CA_CERT, CA_KEY = "cacert.pem", "cakey.pem"
#: A new certificate counts from a day ago on: clocks of machines that are set up differ.
_BACK = timedelta(days=1)
_DNS = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")


@dataclass(frozen=True)
class Holder:
    """Whose certificate it is. ``addresses`` are checked by everybody this machine talks to."""

    name: str
    addresses: tuple[str, ...]
    names: tuple[str, ...] = ()

    @classmethod
    def checked(cls, name: str, addresses: Sequence[str], names: Sequence[str] = ()) -> Holder:
        """A holder with what people typed.

        Raises:
            InvalidInput: the name is none of a machine, there is no address, or one is none.
        """
        try:
            name_rules.identifier(name)
        except InvalidInput as error:
            error.field = "name"
            raise
        found = []
        for text in addresses:
            try:
                address = ipaddress.ip_address(text.strip())
            except ValueError as error:
                raise InvalidInput(N_("{text} is no IP address."), field="ip", text=text) from error
            if address.is_unspecified or address.is_multicast:
                raise InvalidInput(N_("{text} is no address of a machine."), field="ip", text=text)
            found.append(str(address))
        if not found:
            raise InvalidInput(N_("At least one IP address is needed."), field="ip")
        for text in names:
            if len(text) > 253 or not _DNS.fullmatch(text):
                raise InvalidInput(N_("{text} is no host name."), field="dns", text=text)
        # The name itself is one that people may call the machine by, when DNS could hold it.
        own = [name] if _DNS.fullmatch(name) else []
        return cls(name, tuple(dict.fromkeys(found)), tuple(dict.fromkeys([*own, *names])))


def create(
    directory: Path, *, name: str = "DOSVM", days: int = AUTHORITY_DAYS, password: str = "", renew: bool = False
) -> list[Path]:
    """Make both authorities, or with ``renew`` new certificates for their keys, so that what they signed stays good.

    Returns:
        The two certificates.

    Raises:
        Refused: there is one already (and not ``renew``), or it cannot be written; nothing was changed.
        InvalidInput: a value breaks a rule, or a key to renew cannot be opened.
    """
    name_rules.name(name)
    _check_days(days)
    places = [directory / kind for kind in (HOSTD, LIBVIRT)]
    if not renew:
        refuse_existing(place / file for place in places for file in (CA_CERT, CA_KEY))
    made: list[tuple[Path, bytes, int]] = []
    for place in places:
        if renew:
            old, key = _open(place, password)
            subject = old.x509.subject
        else:
            key = ec.generate_private_key(ec.SECP256R1())
            subject = _subject(f"{name} {place.name} CA")
            made.append((place / CA_KEY, _key_bytes(key, password), 0o600))
        made.append((place / CA_CERT, _pem(_sign(subject, key, None, key, days)), 0o644))
    make_directory(directory, 0o700)
    for place in places:
        make_directory(place, 0o700)
    written: list[Path] = []
    try:
        for file, data, mode in made:
            write_file(file, data, mode)
            written.append(file)
    except BaseException:
        if not renew:
            for file in written:
                file.unlink(missing_ok=True)
        raise
    return [place / CA_CERT for place in places]


def issue(
    directory: Path,
    holder: Holder,
    *,
    console: bool = False,
    days: int = DAYS,
    password: str = "",
    key_password: str = "",
    renew: bool = False,
) -> Path:
    """Make what a machine needs: a host's certificates for hostd and libvirtd, or those of a console.

    Args:
        directory: of the authority.
        holder: whose they are.
        console: whether the machine only has a console.
        days: how long they are valid.
        password: of the authority's keys.
        key_password: what the new private keys of hostd or the console are sealed with; libvirtd's cannot be.
        renew: replace what was issued before.

    Returns:
        The directory to hand over.

    Raises:
        Refused: something was issued for this machine already, or it cannot be written; nothing was changed.
        InvalidInput: the authority's key cannot be opened, or a value breaks a rule.
        NotFound: there is no authority, or (``renew``) nothing was issued.
    """
    _check_days(days)
    place = issued(directory, holder.name)
    if not renew:
        refuse_existing([place])
    elif not place.is_dir():
        raise NotFound(N_("Nothing was issued for {name} yet."), remedy=N_("Leave --renew out."), name=holder.name)
    files: dict[str, tuple[bytes, int]] = {}

    def add(kind: str, authority: str, pairs: dict[str, Sequence[x509.ObjectIdentifier]], sealed_with: str) -> None:
        ca, ca_key = _open(directory / authority, password)
        files[f"{kind}/{CA_CERT}"] = read_bytes(ca.file), 0o644
        for prefix, usages in pairs.items():
            # libvirtd wants a usage that keys of elliptic curves must not have (RFC 8813).
            key = _rsa_key() if kind == LIBVIRT else ec.generate_private_key(ec.SECP256R1())
            subject = _subject(holder.name, kind)
            made = _sign(subject, key, ca, ca_key, days, holder, usages)
            files[f"{kind}/{prefix}cert.pem"] = _pem(made), 0o644
            files[f"{kind}/{prefix}key.pem"] = _key_bytes(key, sealed_with), 0o600

    server, client = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
    if console:
        add(CONSOLE, HOSTD, {"": [client]}, key_password)
    else:
        add(HOSTD, HOSTD, {"": [server, client]}, key_password)
        add(LIBVIRT, LIBVIRT, {"server": [server, client], "client": [client]}, "")
    _put_bundle(place, files)
    return place


def issued(directory: Path, name: str) -> Path:
    """Where what was issued for a machine is.

    Raises:
        InvalidInput: this is no name of a machine.
    """
    name_rules.identifier(name)
    return directory / "issued" / name


def holder_of(directory: Path, name: str) -> tuple[Holder, bool]:
    """For whom something was issued before, and whether it was a console; for renewing without saying all again.

    Raises:
        NotFound: nothing was.
    """
    place = issued(directory, name)
    for kind in (HOSTD, CONSOLE):
        file = place / kind / "cert.pem"
        if file.is_file():
            found = read(file)
            return Holder(name, found.addresses, found.names), kind == CONSOLE
    raise NotFound(N_("Nothing was issued for {name} yet."), name=name)


def _put_bundle(place: Path, files: dict[str, tuple[bytes, int]]) -> None:
    """All files beside their place first, then the directory as a whole."""
    make_directory(place.parent, 0o700)
    draft, old = place.with_name(f".{place.name}.new"), place.with_name(f".{place.name}.old")
    try:
        for left in (draft, old):
            shutil.rmtree(left, ignore_errors=True)
        for name, (data, mode) in files.items():
            make_directory((draft / name).parent, 0o700)
            write_file(draft / name, data, mode)
        if place.exists():
            place.rename(old)
        draft.rename(place)
    except OSError as error:
        raise cannot_write(place, error) from error
    finally:
        if not place.exists() and old.exists():
            old.rename(place)
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _open(place: Path, password: str) -> tuple[Certificate, ec.EllipticCurvePrivateKey]:
    """An authority with its key."""
    if not (place / CA_CERT).exists():
        raise NotFound(
            N_("There is no authority in {directory}."),
            remedy=N_("Make it by `dosvm cert init`."),
            directory=str(place),
        )
    certificate = read(place / CA_CERT)
    check_key(certificate, place / CA_KEY, password)
    key = load_pem_private_key(read_bytes(place / CA_KEY), password.encode() if password else None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise InvalidInput(
            N_("The private key {file} is not of the kind that `dosvm cert init` makes."), file=str(place / CA_KEY)
        )
    return certificate, key


def _check_days(days: int) -> None:
    if not 1 <= days <= LONGEST_DAYS:
        raise InvalidInput(N_("From 1 to {limit} days are possible."), field="days", limit=LONGEST_DAYS)


def _subject(name: str, unit: str = "") -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "DOSVM")]
    if unit:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit))
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _sign(
    subject: x509.Name,
    key: Key,
    authority: Certificate | None,
    authority_key: ec.EllipticCurvePrivateKey,
    days: int,
    holder: Holder | None = None,
    usages: Sequence[x509.ObjectIdentifier] = (),
) -> x509.Certificate:
    now = utc_now()
    ends = _not_after(now, days, authority)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority.x509.subject if authority else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACK)
        .not_valid_after(ends)
        .add_extension(
            x509.BasicConstraints(ca=authority is None, path_length=0 if authority is None else None), critical=True
        )
        .add_extension(_key_usage(authority is None, key), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
    )
    if holder is not None:
        alternatives: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address(one)) for one in holder.addresses]
        alternatives += [x509.DNSName(one) for one in holder.names]
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return builder.sign(authority_key, hashes.SHA256())


def _not_after(now: datetime, days: int, authority: Certificate | None) -> datetime:
    ends = now + timedelta(days=days)
    # What outlives its authority is not valid when that has ended: say the true end.
    return min(ends, authority.ends) if authority else ends


def _key_usage(authority: bool, key: Key) -> x509.KeyUsage:
    never = dict.fromkeys(
        ("content_commitment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"), False
    )
    return x509.KeyUsage(
        digital_signature=not authority,
        key_encipherment=isinstance(key, rsa.RSAPrivateKey),
        key_cert_sign=authority,
        crl_sign=authority,
        **never,
    )


def _rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=3072)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _key_bytes(key: Key, password: str) -> bytes:
    sealed = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed)


def list_all(directory: Path) -> list[Path]:
    """Every certificate file below an authority's directory, the authorities first."""
    found = [directory / kind / CA_CERT for kind in (HOSTD, LIBVIRT)]
    place = directory / "issued"
    for machine in sorted(place.iterdir()) if place.is_dir() else ():
        if not machine.name.startswith("."):
            found += sorted(file for file in machine.glob("*/*cert.pem") if file.name != CA_CERT)
    return [file for file in found if file.exists()]
