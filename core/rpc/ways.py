"""Which hostds the console and the commands of this machine ask (manual 13.2.2), and the way to them.

Usually the one of the machine itself, over its Unix socket. On a machine that has none, or for when that one is
gone, ``console.toml`` names others, which are reached over TLS: one after the other, until one answers. It is looked
at before every request, so that what is changed there counts at once in consoles that run.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from core.errors import DosvmError, HostdUnavailable, InvalidInput, TlsFailed
from core.i18n import N_
from core.rpc.calls import HELLO, WAIT, Call
from core.rpc.client import Client
from core.rpc.http import Stream
from core.rpc.signature import Signer, load_key

if TYPE_CHECKING:
    from core.rpc.handover import Told

FILE = "console.toml"
#: Where a packaged installation keeps its configuration.
DEFAULT_HOME = "/etc/dosvm"
DEFAULT_PORT = 5555
#: In place of an address: the hostd of this machine, over its Unix socket.
LOCAL = "local"
MOST_HOSTS = 16
#: Seconds a host has to take up a connection when there are others to ask.
_NEXT = 2.5
_HOST = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")
#: Which settings name the files of TLS.
FILES = ("ssl_cert", "ssl_key", "ssl_ca")
_TEXTS = (*FILES, "ssl_password")
_HEAD = """\
# Which hostds the console and the commands of this machine ask, the first that answers. "local" is this machine's own.
# `dosvm console-settings edit` writes this file.
"""


def home() -> Path:
    """The directory of the configuration: ``DOSVM_HOME``, or the packaged one."""
    return Path(os.environ.get("DOSVM_HOME") or DEFAULT_HOME)


def settings_file() -> Path:
    """The file of these settings.

    In ``DOSVM_HOME`` when that is set; otherwise the person's own (XDG Base Directory Specification) when there is
    one, or the machine's.
    """
    if os.environ.get("DOSVM_HOME"):
        return home() / FILE
    base = os.environ.get("XDG_CONFIG_HOME")
    own = (Path(base) if base else Path.home() / ".config") / "dosvm" / FILE
    machines = Path(DEFAULT_HOME) / FILE
    if own.exists() or (not machines.exists() and not os.access(DEFAULT_HOME, os.W_OK)):
        return own
    return machines


def own_places() -> list[Path]:
    """Where DOSVM's own files are on this machine, as far as this account may know: see :mod:`core.rpc.own_files`."""
    import tomllib  # only for those who upload

    console, hostd = settings_file(), home() / "dosvm.toml"
    places = [home(), console]
    for file in (console, hostd):
        try:
            written = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        for table in (written, written.get("ssl")):
            named = [table.get(key) for key in FILES] if isinstance(table, dict) else []
            places += [file.parent / name for name in named if isinstance(name, str) and name]
    return places


class ConsoleSettings(NamedTuple):
    """What ``console.toml`` says. Paths are absolute, or relative to the file."""

    hosts: tuple[str, ...] = ()
    use_ssl: bool = False
    ssl_cert: str = ""
    ssl_key: str = ""
    ssl_ca: str = ""
    ssl_password: str = ""

    def __repr__(self) -> str:
        """Without the password."""
        return f"ConsoleSettings({', '.join(f'{key}={getattr(self, key)!r}' for key in self._fields[:-1])})"

    @property
    def remote(self) -> bool:
        """Whether other machines are asked."""
        return any(host != LOCAL for host in self.hosts)

    def checked(self) -> ConsoleSettings:
        """These settings in their usual form.

        Raises:
            InvalidInput: a host is none, something is missing for TLS, or TLS is off and would be needed.
        """
        hosts = tuple(dict.fromkeys(host.strip() for host in self.hosts if host.strip()))
        if len(hosts) > MOST_HOSTS:
            raise InvalidInput(N_("At most {limit} hosts."), field="hosts", limit=MOST_HOSTS)
        for host in hosts:
            address_of(host)
        made = self._replace(hosts=hosts)
        if made.remote and not made.use_ssl:
            raise InvalidInput(
                N_("Other machines are asked over TLS only: passwords never travel in plain text."),
                remedy=N_("Switch SSL on here, and use_ssl under [ssl] in dosvm.toml of those hosts."),
                field="use_ssl",
            )
        if made.remote:
            made.check_named()
        return made

    def check_named(self) -> None:
        """Whether all that TLS needs is named.

        Raises:
            InvalidInput: something is not; names the field.
        """
        for key in FILES:
            if not getattr(self, key).strip():
                raise InvalidInput(
                    N_("With SSL on this is needed."),
                    remedy=N_("Name a file that `dosvm cert issue NAME --console` made, or switch SSL off."),
                    field=key,
                )

    def check_files(self, base: Path) -> None:
        """Whether what is named for TLS can be used, also while TLS is off or only this machine's hostd is asked.

        Nobody looks at them again before they are needed, which may be the night when this machine's own hostd is
        gone. ``base`` is what relative paths begin at.

        Raises:
            InvalidInput: a file is missing or is not what it should be; names the field.
        """
        from core.rules import check  # only for those who write

        for key in FILES:
            check("tls_file", key, getattr(self, key))
        if self.use_ssl:
            self.check_named()
        named = {key: base / getattr(self, key) for key in FILES if getattr(self, key)}
        if self.ssl_password and "ssl_key" not in named:
            raise InvalidInput(
                N_("There is no private key that this is the password of."),
                remedy=N_("Name the private key, or leave the password empty."),
                field="ssl_password",
            )
        if not named:
            return
        from core.rpc.tls import Tls, TlsFiles, check_file  # TLS costs a command 15 ms

        for key, file in named.items():
            check_file(file, key)
        if len(named) == len(FILES):
            Tls(TlsFiles(named["ssl_ca"], named["ssl_cert"], named["ssl_key"], self.ssl_password)).client()


def address_of(host: str) -> tuple[str, int] | None:
    """Address (or name) and port of a host as people write it; None for this machine's own.

    Raises:
        InvalidInput: it is neither.
    """
    if host == LOCAL:
        return None
    wrong = InvalidInput(
        N_("{host} is no address of a host; write 192.168.2.189, 192.168.2.189:5555, [fd00::1]:5555 or a name."),
        field="hosts",
        host=host,
    )
    bracketed = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](?::([0-9]{1,5}))?", host)
    if bracketed:
        name, port = bracketed[1], bracketed[2]
    elif host.count(":") > 1:
        name, port = host, None
    else:
        name, _sep, port = host.partition(":")
        if not _HOST.fullmatch(name) or len(name) > 253 or (_sep and not re.fullmatch("[0-9]{1,5}", port)):
            raise wrong
    if ":" in name:
        from ipaddress import IPv6Address  # rarely

        try:
            IPv6Address(name)
        except ValueError as error:
            raise wrong from error
    number = int(port or DEFAULT_PORT)
    if not 1 <= number <= 65535:
        raise wrong
    return name, number


def load(path: Path) -> ConsoleSettings:
    """The settings of a file; those of one that is not there name no other machine.

    Raises:
        InvalidInput: it cannot be read, or one key is unknown or bad; names file, key and reason, never a password.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ConsoleSettings()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "UTF-8"
        raise InvalidInput(N_("{file} cannot be read: {reason}."), file=str(path), reason=reason) from error
    import tomllib  # only where there is such a file

    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(N_("{file} is not valid TOML: {reason}."), file=str(path), reason=str(error)) from error

    def problem(key: str, message: str) -> InvalidInput:
        return InvalidInput(message, file=str(path), key=key)

    for key, value in values.items():
        if key == "hosts":
            if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                raise problem(key, N_("{file}: {key}: a list of texts is needed."))
        elif key == "use_ssl":
            if not isinstance(value, bool):
                raise problem(key, N_("{file}: {key}: true or false is needed."))
        elif key not in _TEXTS:
            raise problem(key, N_("{file}: {key}: there is no such key."))
        elif not isinstance(value, str):
            raise problem(key, N_("{file}: {key}: a text in quotes is needed."))
    try:
        return ConsoleSettings(**{**values, "hosts": tuple(values.get("hosts", ()))}).checked()
    except InvalidInput as error:
        raise InvalidInput(
            N_("{file}: {key}: {problem}"),
            remedy=N_("`dosvm console-settings edit` mends it."),
            file=str(path),
            key=error.field or "",
            problem=[{"message": error.message, "parameters": error.parameters}],
        ) from error


def save(path: Path, settings: ConsoleSettings) -> None:
    """Write the settings; the file is replaced as a whole, and is its owner's alone when it holds a password.

    Raises:
        Refused: it cannot be written.
    """
    from core.files import make_directory, write_file  # only for those who write

    lines = [f"hosts = {json.dumps(list(settings.hosts), ensure_ascii=False)}"]
    lines += [f"use_ssl = {'true' if settings.use_ssl else 'false'}"]
    lines += [f"{key} = {json.dumps(getattr(settings, key), ensure_ascii=False)}" for key in _TEXTS]
    make_directory(path.parent)
    write_file(path, (_HEAD + "\n".join(lines) + "\n").encode(), 0o600 if settings.ssl_password else 0o644)


def clients_of(settings: ConsoleSettings, base: Path) -> list[Client]:
    """One for each hostd that may be asked, in their order; ``base`` is what relative paths begin at.

    Raises:
        InvalidInput: this machine's own is among them, and its cluster key cannot be used.
    """
    tls = None
    if settings.remote:
        from core.rpc.tls import Tls, TlsFiles  # TLS costs a command 15 ms

        files = TlsFiles(
            base / settings.ssl_ca, base / settings.ssl_cert, base / settings.ssl_key, settings.ssl_password
        )
        tls = Tls(files)
    hosts = settings.hosts or (LOCAL,)
    made = []
    for host in hosts:
        address = address_of(host)
        if address is None:
            made.append(Client(str(home() / "hostd.sock"), Signer(load_key(home() / "cluster.key"))))
        else:
            # On a machine with a cluster key too: a certificate is enough to be heard, and a password to be let in.
            made.append(Client(address, None, tls, hurry=_NEXT if len(hosts) > 1 else None))
    return made


class Tried(NamedTuple):
    """How a host answered: ``host`` and ``version`` are its own words; ``error`` when it did not."""

    where: str
    host: str = ""
    version: str = ""
    error: DosvmError | None = None


def try_all(settings: ConsoleSettings, base: Path) -> list[Tried]:
    """Ask each host for its name, before anybody logs in.

    Raises:
        InvalidInput: the files named cannot be used.
    """
    found = []
    clients = clients_of(settings, base)
    for client in clients:
        client.check()
    for client in clients:
        try:
            answer = client.request(HELLO, {})
            found.append(Tried(client.where, str(answer.get("host", "")), str(answer.get("version", ""))))
        except InvalidInput:
            raise
        except DosvmError as error:
            found.append(Tried(client.where, error=error))
        finally:
            client.close()
    return found


class Ways:
    """Asks the hostd that answered last, and the next one when it is gone. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Read the settings.

        Raises:
            InvalidInput: they, or the cluster key of this machine, cannot be used.
        """
        self._path = path
        self._guard = threading.Lock()
        self._stamp: object = None
        self._clients: Sequence[Client] = ()
        self._at = 0
        self.remote = False
        self._look()

    def _look(self) -> tuple[Sequence[Client], int]:
        """The clients as the file now says, and which of them to begin with."""
        with self._guard:
            try:
                status = self._path.stat()
                stamp: object = (status.st_ino, status.st_size, status.st_mtime_ns)
            except OSError:
                stamp = "absent"
            if stamp != self._stamp:
                settings = load(self._path)
                self._clients, self._at = clients_of(settings, self._path.parent), 0
                self.remote = settings.remote
                self._stamp = stamp
            return self._clients, self._at

    @property
    def where(self) -> str:
        """The hostd that is asked now."""
        clients, at = self._look()
        return clients[at].where

    @property
    def streams(self) -> bool:
        """Whether the one that is asked now takes streams."""
        clients, at = self._look()
        return clients[at].streams

    def go_to(self, host: str) -> bool:
        """Ask the hostd of that host (its UUID) from now on, when it is among those that may be asked and answers.

        What is kept on one host, as what has arrived of an upload is, goes on there.
        """
        clients, _at = self._look()
        for at, client in enumerate(clients):
            try:
                there = client.request(HELLO, {}).get("uuid") == host
            except DosvmError:
                continue
            if there:
                self._stay(clients, at)
                return True
        return False

    def hand_over(self, body: dict[str, Any], descriptor: int, told: Told) -> dict[str, Any] | None:
        """See :meth:`core.rpc.client.Client.hand_over`; asks the hostd that is asked now, and no other."""
        clients, at = self._look()
        return clients[at].hand_over(body, descriptor, told)

    def request(
        self,
        call: Call,
        body: dict[str, Any],
        *,
        patience: float = 0.0,
        timeout: float | None = None,
        payload: bytes | Stream | None = None,
    ) -> Any:
        """See :meth:`core.rpc.client.Client.request`; tries every host once, and again while there is patience.

        What is sent twice counts once: changes carry a request key. Who waits for news is told that a host is gone,
        because the next one counts its news otherwise.
        """
        clients, first = self._look()
        give_up = time.monotonic() + patience
        while True:
            errors: list[HostdUnavailable] = []
            for step in range(len(clients)):
                at = (first + step) % len(clients)
                try:
                    answer = clients[at].request(
                        call,
                        body,
                        patience=patience if len(clients) == 1 else 0.0,
                        timeout=timeout,
                        payload=payload,
                    )
                except HostdUnavailable as error:
                    errors.append(error)
                    self._leave(clients, at)
                    if call is WAIT:
                        raise
                else:
                    self._stay(clients, at)
                    return answer
            # That the two sides do not fit says more than that somebody is away, and does not pass.
            misfit = next((error for error in errors if isinstance(error, TlsFailed)), None)
            if misfit is not None or time.monotonic() >= give_up:
                raise misfit or errors[0]
            time.sleep(0.2)

    def _leave(self, clients: Sequence[Client], at: int) -> None:
        with self._guard:
            if clients is self._clients and self._at == at:
                self._at = (at + 1) % len(clients)

    def _stay(self, clients: Sequence[Client], at: int) -> None:
        with self._guard:
            if clients is self._clients:
                self._at = at

    def close(self) -> None:
        """Close this thread's connections."""
        for client in self._look()[0]:
            client.close()
