"""TLS between consoles and hostds and among hostds: both sides show a certificate of the cloud's own authority.

Imported only where TLS is used: the module ``ssl`` costs a command 15 ms. What is negotiated is TLS 1.2 or newer,
never less, and nobody falls back to talking in plain text.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import BOTH_OR_NEITHER, InvalidInput, TlsFailed
from core.i18n import N_

_OLDEST = ssl.TLSVersion.TLSv1_2
#: What OpenSSL says of a certificate (X509_V_ERR_...).
_EARLY, _EXPIRED, _NAME, _ADDRESS, _PURPOSE = 9, 10, 62, 64, 26
_UNKNOWN = {2, 18, 19, 20, 21}


@dataclass(frozen=True)
class TlsFiles:
    """Where this side's certificate, its private key and the authority's certificate are."""

    authority: Path
    certificate: Path
    key: Path
    password: str = field(default="", repr=False)

    def named(self) -> dict[str, Path]:
        """Each by the setting that names it, of hostd and of consoles alike."""
        return {"ssl_ca": self.authority, "ssl_cert": self.certificate, "ssl_key": self.key}


class Tls:
    """Contexts made of files, and made anew when the files have changed. Thread-safe."""

    def __init__(self, files: TlsFiles) -> None:
        self.files = files
        self._guard = threading.Lock()
        self._made: dict[bool, tuple[object, ssl.SSLContext]] = {}
        #: Why the files as they are now cannot be used, while those before still are; empty when all is well.
        self.trouble = ""

    def server(self) -> ssl.SSLContext:
        """For who is called. Raises InvalidInput when the files cannot be used."""
        return self._context(server=True)

    def client(self) -> ssl.SSLContext:
        """For who calls. Raises InvalidInput when the files cannot be used."""
        return self._context(server=False)

    def _context(self, *, server: bool) -> ssl.SSLContext:
        with self._guard:
            present = self._stamp()
            stamp, context = self._made.get(server, (None, None))
            if context is None or stamp != present:
                try:
                    context = _make(self.files, server=server)
                    self.trouble = ""
                except InvalidInput as error:
                    # While files are being replaced they do not fit one another for a moment; what was good is good.
                    if context is None:
                        raise
                    self.trouble = error.text()
                    return context
                self._made[server] = present, context
            return context

    def _stamp(self) -> object:
        found: list[tuple[int, ...] | None] = []
        for file in self.files.named().values():
            try:
                status = os.stat(file)
                found.append((status.st_ino, status.st_size, status.st_mtime_ns))
            except OSError:
                found.append(None)
        return tuple(found)


def _make(files: TlsFiles, *, server: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = _OLDEST
    context.verify_mode = ssl.CERT_REQUIRED
    context.check_hostname = not server
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    if server:
        # Nothing is resumed: every connection shows its certificate, and it is looked at.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    for key, file in files.named().items():
        check_file(file, key)
    if files.key.stat().st_mode & 0o007:
        raise InvalidInput(
            N_("The private key {file} is open to everybody."),
            remedy=N_("Run `chmod 640 {file}`."),
            field="ssl_key",
            file=str(files.key),
        )
    try:
        context.load_verify_locations(files.authority)
    except (ssl.SSLError, OSError) as error:
        raise _no_pem(files.authority, "ssl_ca") from error
    try:
        # Given as a function it is asked for when needed; given none at all, OpenSSL would ask at the terminal.
        context.load_cert_chain(files.certificate, files.key, password=lambda: files.password)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise _unfit(files, error) from error
    return context


def _unfit(files: TlsFiles, error: Exception) -> InvalidInput:
    """Why a certificate and its key cannot be used together."""
    locked = "ENCRYPTED" in files.key.read_text("ascii", "replace")
    if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
        return InvalidInput(
            N_("{key} is not the private key of the certificate {file}."),
            remedy=N_("Name the certificate and the key that `dosvm cert issue` made in one directory."),
            field="ssl_key",
            file=str(files.certificate),
            key=str(files.key),
        )
    wrong = N_("The private key {file} cannot be opened: the password is wrong, or the file is damaged.")
    if locked and not files.password:
        wrong = N_("The private key {file} needs a password, and none is given.")
    return InvalidInput(
        wrong,
        remedy=N_("Give the password that it was made with, or make another one by `dosvm cert issue`."),
        field="ssl_password" if locked else "ssl_key",
        file=str(files.key),
    )


def _no_pem(file: Path, key: str) -> InvalidInput:
    return InvalidInput(
        N_("{file} is no private key in PEM form.")
        if key == "ssl_key"
        else N_("{file} is no certificate in PEM form."),
        remedy=N_("`dosvm cert issue` makes such files; the guide says how to take one of PKCS12 apart."),
        field=key,
        file=str(file),
    )


#: What a PEM file of each kind begins with; a key's kind may stand in between.
_LABELS = {"ssl_ca": "CERTIFICATE-----", "ssl_cert": "CERTIFICATE-----", "ssl_key": "PRIVATE KEY-----"}
#: Bytes that are read of a file to see what it is: more than a chain of certificates has.
_LOOK = 1 << 20


def check_file(file: Path, key: str) -> None:
    """Whether a file is there and is what the setting ``key`` (``ssl_ca``, ``ssl_cert``, ``ssl_key``) names.

    Raises:
        InvalidInput: it is not; names the setting as its field.
    """
    try:
        with file.open("rb") as opened:
            text = opened.read(_LOOK).decode("ascii", "replace")
    except OSError as error:
        raise InvalidInput(
            N_("{file} cannot be read: {reason}."),
            remedy=N_("Look at the path; certificates and keys are made by `dosvm cert issue`."),
            field=key,
            file=str(file),
            reason=error.strerror or str(error),
        ) from error
    if _LABELS[key] not in text:
        raise _no_pem(file, key)


def names_address(certificate: Mapping[str, Any], address: str) -> bool:
    """Whether a certificate (as ``SSLSocket.getpeercert()`` gives it) names an IP address."""
    wanted = _plain(address)
    return any(
        kind == "IP Address" and _plain(value) == wanted for kind, value in certificate.get("subjectAltName", ())
    )


def _plain(text: str) -> object:
    try:
        address = ipaddress.ip_address(text.strip().partition("%")[0])
    except ValueError:
        return text
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def common_name(certificate: Mapping[str, Any]) -> str:
    """Whose certificate it is."""
    names = (value for part in certificate.get("subject", ()) for key, value in part if key == "commonName")
    return next(names, "?")


# -- what went wrong, in words

#: What the other side said of our certificate (TLS alerts, RFC 8446 section 6), by a part of OpenSSL's word for it.
_ALERTS: tuple[tuple[str, str, str], ...] = (
    (
        "CERTIFICATE_REQUIRED",
        N_("hostd at {where} wants a certificate, and this side showed none."),
        N_("Name the certificate and its key here."),
    ),
    (
        "CERTIFICATE_EXPIRED",
        N_("hostd at {where} does not take this side's certificate: it has expired or is not valid yet."),
        N_("Renew it by `dosvm cert issue --renew`, and look at the clocks of both machines."),
    ),
    (
        "UNKNOWN_CA",
        N_("hostd at {where} does not take this side's certificate: it is signed by another authority."),
        N_("Both sides need certificates of the same cloud's authority."),
    ),
    (
        "BAD_CERTIFICATE",
        N_("hostd at {where} does not take this side's certificate."),
        N_("Look at the clocks of both machines, and whether both certificates are of the same cloud's authority."),
    ),
    (
        "CERTIFICATE",
        N_("hostd at {where} does not take this side's certificate."),
        N_("Both sides need certificates of the same cloud's authority."),
    ),
    (
        "PROTOCOL_VERSION",
        N_("hostd at {where} and this side have no version of TLS in common."),
        N_("TLS 1.2 or newer is needed."),
    ),
)


def failed_at(where: str, error: ssl.SSLError) -> TlsFailed | None:
    """What a caller is told; None when the connection just ended."""
    reason = error.reason or ""
    if isinstance(error, ssl.SSLCertVerificationError):
        return TlsFailed(*_distrust(error), where=where)
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"):
        return TlsFailed(
            N_("hostd at {where} talks without TLS, and this side with it."),
            BOTH_OR_NEITHER,
            where=where,
        )
    if "ALERT" in reason:
        for part, message, remedy in _ALERTS:
            if part in reason:
                return TlsFailed(message, remedy, where=where)
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return None
    return TlsFailed(
        N_("TLS with {where} failed: {reason}."), where=where, reason=reason.replace("_", " ").lower() or "?"
    )


def _distrust(error: ssl.SSLCertVerificationError) -> tuple[str, str]:
    code = error.verify_code
    if code == _EXPIRED:
        return (
            N_("The certificate of hostd at {where} has expired."),
            N_("Renew it by `dosvm cert issue --renew`, and look at the clocks of both machines."),
        )
    if code == _EARLY:
        return (
            N_("The certificate of hostd at {where} is not valid yet."),
            N_("The clock of one of the two machines is wrong."),
        )
    if code in (_NAME, _ADDRESS):
        return (
            N_("The certificate that answers at {where} is not made for this address."),
            N_("Issue one with it (`dosvm cert issue NAME --ip ADDRESS`); if it has it, somebody else answers."),
        )
    if code == _PURPOSE:
        return (
            N_("The certificate that answers at {where} is not one of a hostd."),
            N_("Give each host the certificate that `dosvm cert issue` made for it."),
        )
    if code in _UNKNOWN:
        return (
            N_("The certificate of hostd at {where} is signed by another authority."),
            N_("Both sides need certificates of the same cloud's authority."),
        )
    return N_("The certificate of hostd at {where} is not to be trusted."), N_("See `dosvm cert list` there.")


def plain_words(error: BaseException) -> str:
    """What the log of the side that was called says of a handshake that failed; English, as all of the log."""
    if isinstance(error, ssl.SSLCertVerificationError):
        code = error.verify_code
        if code == _EXPIRED:
            return "its certificate has expired"
        if code == _EARLY:
            return "its certificate is not valid yet: one of the clocks is wrong"
        if code in _UNKNOWN:
            return "its certificate is signed by another authority"
        if code == _PURPOSE:
            return "its certificate is not one of a client"
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        reason = error.reason or ""
        if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
            return "it showed no certificate"
        if "ALERT" in reason and ("CA" in reason or "CERTIFICATE" in reason):
            return "it does not take this host's certificate: " + reason.split("ALERT_")[-1].replace("_", " ").lower()
        if reason == "UNSUPPORTED_PROTOCOL":
            return "it speaks an old version of TLS only"
        return reason.replace("_", " ").lower() or str(error)
    return str(error) or type(error).__name__
