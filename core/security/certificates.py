"""X.509 certificates as files: what is in them, whether they fit, and how they are put in their place (RFC 5280).

Nothing here makes one; :mod:`core.security.authority` does.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from core.errors import InvalidInput
from core.i18n import N_

#: A certificate that ends within this time is worth a word.
SOON = timedelta(days=30)
#: Largest file that is read: a bundle of some certificates has a few kilobytes.
_LARGEST = 256 * 1024


@dataclass(frozen=True)
class Certificate:
    """What people ask of a certificate. Times are UTC with their zone."""

    file: Path
    name: str
    issuer: str
    addresses: tuple[str, ...]
    names: tuple[str, ...]
    begins: datetime
    ends: datetime
    authority: bool
    server: bool
    client: bool
    x509: x509.Certificate

    def state(self, now: datetime) -> str:
        """``expired``, ``early`` (not valid yet), ``soon`` (ends within :data:`SOON`) or ``valid``."""
        if now > self.ends:
            return "expired"
        if now < self.begins:
            return "early"
        return "soon" if now > self.ends - SOON else "valid"

    def days_left(self, now: datetime) -> int:
        """Whole days until it ends; negative when it has ended."""
        return (self.ends - now) // timedelta(days=1)

    def signed_by(self, authority: Certificate) -> bool:
        """Whether that authority's key signed it."""
        try:
            self.x509.verify_directly_issued_by(authority.x509)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            return False
        return True


def utc_now() -> datetime:
    """The time, with its zone, as certificates have it."""
    return datetime.now(UTC)


def read(file: Path) -> Certificate:
    """The first certificate of a PEM file.

    Raises:
        InvalidInput: the file cannot be read, or holds none.
    """
    return read_all(file)[0]


def read_all(file: Path) -> list[Certificate]:
    """All certificates of a PEM file, at least one; an authority's file may hold the old and the new one.

    Raises:
        InvalidInput: the file cannot be read, or holds none.
    """
    try:
        found = x509.load_pem_x509_certificates(read_bytes(file))
        return [_describe(file, one) for one in found]
    except ValueError as error:
        raise InvalidInput(N_("{file} is no certificate in PEM form."), file=str(file)) from error


def read_bytes(file: Path) -> bytes:
    """What is in a file.

    Raises:
        InvalidInput: it is not there, is no plain file, is too large, or must not be read; says which file.
    """
    try:
        with file.open("rb") as opened:
            data = opened.read(_LARGEST + 1)
    except OSError as error:
        raise InvalidInput(
            N_("{file} cannot be read: {reason}."), file=str(file), reason=error.strerror or str(error)
        ) from error
    if len(data) > _LARGEST:
        raise InvalidInput(N_("{file} is no certificate in PEM form."), file=str(file))
    return data


def _describe(file: Path, found: x509.Certificate) -> Certificate:
    try:
        alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        addresses = tuple(str(ip) for ip in alternatives.get_values_for_type(x509.IPAddress))
        names = tuple(alternatives.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        addresses, names = (), ()
    try:
        usages = set(found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
        server, client = ExtendedKeyUsageOID.SERVER_AUTH in usages, ExtendedKeyUsageOID.CLIENT_AUTH in usages
    except x509.ExtensionNotFound:
        server = client = True  # no restriction
    try:
        authority = found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        authority = False
    return Certificate(
        file=file,
        name=_common_name(found.subject),
        issuer=_common_name(found.issuer),
        addresses=addresses,
        names=names,
        begins=found.not_valid_before_utc,
        ends=found.not_valid_after_utc,
        authority=authority,
        server=server and not authority,
        client=client and not authority,
        x509=found,
    )


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else name.rfc4514_string()


def check_key(certificate: Certificate, key: Path, password: str = "") -> None:
    """Refuse a private key that is not the certificate's, is open to everybody, or cannot be opened.

    Raises:
        InvalidInput: says what is wrong with which file.
    """
    data = read_bytes(key)
    if key.stat().st_mode & 0o007:
        raise InvalidInput(
            N_("The private key {file} is open to everybody."), remedy=N_("Run `chmod 640 {file}`."), file=str(key)
        )
    try:
        private = load_pem_private_key(data, password.encode() if password else None)
    except TypeError as error:
        wrong = N_("The private key {file} needs a password, and none is given.")
        if password:
            wrong = N_("A password is given, and the private key {file} has none.")
        raise InvalidInput(wrong, file=str(key)) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidInput(
            N_("The private key {file} cannot be opened: the password is wrong, or the file is damaged."),
            file=str(key),
        ) from error
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if private.public_key().public_bytes(*form) != certificate.x509.public_key().public_bytes(*form):
        raise InvalidInput(
            N_("{key} is not the private key of the certificate {file}."), key=str(key), file=str(certificate.file)
        )


def check_pair(certificate: Path, key: Path, authority: Path, password: str = "") -> Certificate:
    """The certificate, once it is signed by the authority and goes with the key.

    Raises:
        InvalidInput: one of the files cannot be used, or they do not belong together.
    """
    found = read(certificate)
    if not any(found.signed_by(one) for one in read_all(authority)):
        raise InvalidInput(
            N_("{file} is not signed by the authority in {authority}."), file=str(certificate), authority=str(authority)
        )
    check_key(found, key, password)
    return found


def has_address(certificate: Certificate, address: str) -> bool:
    """Whether the certificate names an IP address."""
    wanted = ipaddress.ip_address(address)
    return any(ipaddress.ip_address(one) == wanted for one in certificate.addresses)


def not_for_address(certificate: Certificate, address: str) -> InvalidInput:
    """The sentence for a certificate that does not name the address it is to be used at."""
    return InvalidInput(
        N_("The certificate {file} does not name this host's address {address}."),
        remedy=N_("Issue one with it: `dosvm cert issue NAME --ip {address}`."),
        file=str(certificate.file),
        address=address,
    )
