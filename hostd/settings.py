"""``$DOSVM_HOME/dosvm.toml``: what one host must know before it can ask the database (manual 4.4.7)."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import tomllib
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.database import parse_url
from core.errors import InvalidInput
from core.i18n import N_
from core.rpc.tls import TlsFiles
from core.rules.names import is_uuid
from core.setup import KEY

FILE = "dosvm.toml"
DEFAULT_HOME = Path("/etc/dosvm")
DEFAULT_PORT = 5555
#: Below the home: hostd's certificate, its key, and that of the authority, unless [ssl] names other places.
CERTIFICATES = "pki"
#: Directories below the home, beside hostd's state, in which all is DOSVM's own: certificates and their authority.
OWN_DIRECTORIES = (CERTIFICATES, "ca")


@dataclass(frozen=True)
class Settings:
    """The settings of this host. ``address`` is empty when hostd shall not listen on the network."""

    home: Path
    address: str
    port: int
    min_tcp_port: int
    max_tcp_port: int
    database_url: str
    max_connections: int
    threads: int
    temporary: Path
    """Where overlays of read-only images are kept while their VMs run."""
    share_disk: Path
    """The directory whose file system counts as the host's disk."""
    host_uuid: str
    host_name: str
    libvirt_url: str
    migration_url: str
    """How libvirtd of a host is reached by others to take over VMs that run; ``{address}`` stands for the host's."""
    migration_speed: int
    """MiB per second that the migration of a VM may send at most; 0 for no limit."""
    sample_image: Path
    log: Path | None
    tls: TlsFiles | None
    """What hostd shows others over TCP, and asks of them; None for plain text."""

    def __repr__(self) -> str:
        """Without the database's password."""
        return f"Settings(home={self.home}, address={self.address!r}, host_uuid={self.host_uuid})"

    @property
    def socket(self) -> Path:
        """The Unix socket that the console and the command line use."""
        return self.home / "hostd.sock"

    @property
    def state(self) -> Path:
        """What hostd remembers of this host alone."""
        return self.home / "state"

    @property
    def key(self) -> Path:
        """The cluster key."""
        return self.home / KEY

    @property
    def own(self) -> list[Path]:
        """The places of files that are DOSVM's own: see :mod:`core.rpc.own_files`."""
        places = [self.home, self.temporary]
        if self.log is not None:
            places.append(self.log)
        if self.tls is not None:
            places += [self.tls.authority, self.tls.certificate, self.tls.key]
        if self.database_url.startswith("sqlite:///"):
            places.append(Path(self.database_url.removeprefix("sqlite:///")))
        return places


#: Section -> key -> type, and for numbers their range.
_KEYS: dict[str, dict[str, tuple[type, int, int]]] = {
    "network": {
        "localhost": (str, 0, 0),
        "port": (int, 1, 65535),
        "min_tcp_port": (int, 1024, 65535),
        "max_tcp_port": (int, 1024, 65535),
    },
    "database": {"url": (str, 0, 0), "max_connections": (int, 1, 100)},
    "threads": {"count": (int, 1, 100)},
    "ssl": {
        "use_ssl": (bool, 0, 0),
        "ssl_ca": (str, 0, 0),
        "ssl_cert": (str, 0, 0),
        "ssl_key": (str, 0, 0),
        "ssl_password": (str, 0, 0),
    },
    "config": {
        "temp_image_save_path": (str, 0, 0),
        "share_disk_path": (str, 0, 0),
        "host_uuid": (str, 0, 0),
        "host_name": (str, 0, 0),
        "libvirt_url": (str, 0, 0),
        "migration_url": (str, 0, 0),
        "migration_speed": (int, 0, 100_000),
        "sample_image": (str, 0, 0),
    },
    "log": {"path": (str, 0, 0)},
}


def home() -> Path:
    """The directory of the configuration: ``$DOSVM_HOME``, or the packaged default."""
    return Path(os.environ.get("DOSVM_HOME") or DEFAULT_HOME)


def load(directory: Path) -> Settings:
    """Read the settings of this host; makes and writes back its UUID when there is none yet.

    Raises:
        InvalidInput: the file is missing, cannot be read, or one key is unknown or bad; the sentence names
            file, key and reason, and never shows a value that may hold a password.
    """
    path = directory / FILE
    values = _read(path)

    def text(section: str, key: str, default: str = "") -> str:
        value = values.get(section, {}).get(key, "")
        return value.strip() or default

    def number(section: str, key: str, default: int) -> int:
        return int(values.get(section, {}).get(key, default))

    def place(section: str, key: str, default: Path) -> Path:
        written = text(section, key)
        # Relative paths are relative to the home, so that a whole home can be moved.
        return directory / written if written else default

    _check(path, values)
    host_uuid = text("config", "host_uuid").lower()
    if not host_uuid:
        host_uuid = str(uuid.uuid4())
        _write_back(path, "config", "host_uuid", host_uuid)
    log = text("log", "path")
    return Settings(
        home=directory,
        address=text("network", "localhost"),
        port=number("network", "port", DEFAULT_PORT),
        min_tcp_port=number("network", "min_tcp_port", 49152),
        max_tcp_port=number("network", "max_tcp_port", 49215),
        database_url=text("database", "url", f"sqlite:///{directory / 'cloud.db'}"),
        max_connections=number("database", "max_connections", 4),
        threads=number("threads", "count", 10),
        temporary=place("config", "temp_image_save_path", directory / "tmp"),
        share_disk=place("config", "share_disk_path", directory),
        host_uuid=host_uuid,
        host_name=text("config", "host_name") or socket.gethostname()[:64],
        libvirt_url=text("config", "libvirt_url", "qemu:///system"),
        migration_url=text("config", "migration_url", "qemu+tls://{address}/system"),
        migration_speed=number("config", "migration_speed", 0),
        sample_image=place("config", "sample_image", Path("/usr/share/dosvm/sample.iso")),
        log=directory / log if log else None,
        tls=_tls(directory, values.get("ssl", {})),
    )


def _tls(directory: Path, section: dict[str, Any]) -> TlsFiles | None:
    if not section.get("use_ssl"):
        return None

    def place(key: str, default: str) -> Path:
        return directory / (str(section.get(key, "")).strip() or f"{CERTIFICATES}/{default}")

    return TlsFiles(
        authority=place("ssl_ca", "cacert.pem"),
        certificate=place("ssl_cert", "cert.pem"),
        key=place("ssl_key", "key.pem"),
        password=str(section.get("ssl_password", "")),
    )


def _problem(path: Path, key: str, message: str, **parameters: Any) -> InvalidInput:
    return InvalidInput(message, field=key, file=str(path), key=key, **parameters)


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InvalidInput(
            N_("{file} does not exist."),
            remedy=N_("Run `dosvm init`, or name another directory in DOSVM_HOME."),
            file=str(path),
        ) from error
    except OSError as error:
        raise InvalidInput(
            N_("{file} cannot be read: {reason}."), file=str(path), reason=error.strerror or str(error)
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        # The decoder's words name line and column, not the text that stands there.
        raise InvalidInput(N_("{file} is not valid TOML: {reason}."), file=str(path), reason=str(error)) from error


def _check(path: Path, values: dict[str, Any]) -> None:
    for section, keys in values.items():
        if section not in _KEYS:
            raise _problem(path, section, N_("{file}: {key}: there is no such section."))
        if not isinstance(keys, dict):
            raise _problem(path, section, N_("{file}: {key}: this is a section; write [{section}]."), section=section)
        for key, value in keys.items():
            if key not in _KEYS[section]:
                raise _problem(path, f"{section}.{key}", N_("{file}: {key}: there is no such key."))
            kind, low, high = _KEYS[section][key]
            name = f"{section}.{key}"
            if kind is int and (not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high):
                needed = N_("{file}: {key}: a number from {low} to {high} is needed.")
                raise _problem(path, name, needed, low=low, high=high)
            if kind is bool and (not isinstance(value, bool | int) or value not in (0, 1)):
                raise _problem(path, name, N_("{file}: {key}: true or false is needed."))
            if kind is str and not isinstance(value, str):
                raise _problem(path, name, N_("{file}: {key}: a text in quotes is needed."))
    network = values.get("network", {})
    if network.get("min_tcp_port", 49152) > network.get("max_tcp_port", 49215):
        raise _problem(path, "network.max_tcp_port", N_("{file}: {key}: it is smaller than min_tcp_port."))
    address = network.get("localhost", "").strip()
    if address:
        try:
            ipaddress.ip_address(address)
        except ValueError as error:
            needed = N_("{file}: {key}: an IP address of this host is needed.")
            raise _problem(path, "network.localhost", needed) from error
    host_uuid = values.get("config", {}).get("host_uuid", "").strip()
    if host_uuid and not is_uuid(host_uuid):
        raise _problem(path, "config.host_uuid", N_("{file}: {key}: a UUID is needed; leave it out and one is made."))
    url = values.get("database", {}).get("url", "").strip()
    if url:
        try:
            parse_url(url)
        except InvalidInput as error:
            raise _problem(
                path,
                "database.url",
                N_(
                    "{file}: {key}: it cannot be understood; write sqlite:////path/to/file or mysql://USER:PASSWORD@HOST/NAME."
                ),
            ) from error


def _write_back(path: Path, section: str, key: str, value: str) -> None:
    """Set one text key, leaving every other line and all comments as they are; the file is replaced as a whole."""
    lines = path.read_text(encoding="utf-8").splitlines()
    new = f'{key} = "{value}"'
    header = next((i for i, line in enumerate(lines) if re.match(rf"\s*\[\s*{section}\s*\]", line)), None)
    if header is None:
        lines += [*([""] if lines and lines[-1] else []), f"[{section}]", new]
    else:
        end = next((i for i in range(header + 1, len(lines)) if re.match(r"\s*\[", lines[i])), len(lines))
        present = next((i for i in range(header + 1, end) if re.match(rf"\s*{key}\s*=", lines[i])), None)
        if present is None:
            lines.insert(header + 1, new)
        else:
            comment = re.search(r"\s+#.*$", lines[present])
            lines[present] = new + (comment[0] if comment else "")
    status = path.stat()
    temporary = path.with_name(path.name + ".new")
    try:
        with open(temporary, "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o600)) as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fchmod(file.fileno(), status.st_mode & 0o7777)
            os.fchown(file.fileno(), status.st_uid, status.st_gid)
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InvalidInput(
            N_("{file} cannot be written: {reason}."), file=str(path), reason=error.strerror or str(error)
        ) from error
