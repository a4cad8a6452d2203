"""The command line against the real API of a hostd on a socket, with real services and no hypervisor."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import pytest

from core.database import Database
from core.i18n import set_language
from core.rpc.handover import SOCKET
from core.rpc.signature import Signer, create_key
from core.security.passwords import Passwords
from core.security.vault import Vault
from core.services.dispatch import Services
from core.services.sessions import Sessions
from dosvm_tui import cli
from hostd.api import Api
from hostd.bus import Bus
from hostd.handover import Handover
from hostd.server import Server
from tests.fakes.clock import StillClock
from tests.fakes.cloud import StillCloud
from tests.fakes.office import PASSWORD, Office
from tests.fakes.uploaders import uploads_in


@dataclass(frozen=True)
class Result:
    """What a command did: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


class Dosvm(Protocol):
    """``dosvm("vm", "list", who="zhao")``."""

    def __call__(self, *words: str, who: str = "sysadm") -> Result: ...


@pytest.fixture
def database(sqlite: Database) -> Database:
    """One engine is enough here: what differs between them is below the services."""
    return sqlite


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """DOSVM_HOME: an empty directory with a short path (a socket's has at most 107 characters)."""
    with tempfile.TemporaryDirectory(prefix="dosvm-") as name:
        for variable in ("DOSVM_ACCOUNT", "DOSVM_PASSWORD", "LC_ALL", "LC_MESSAGES", "LANG", "DOSVM_LANG"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("DOSVM_HOME", name)
        yield Path(name)


@pytest.fixture
def office(
    home: Path,
    database: Database,
    clock: StillClock,
    cloud: StillCloud,
    passwords: Passwords,
    sessions: Sessions,
) -> Iterator[Office]:
    """A cloud whose hostd answers at DOSVM_HOME."""
    bus = Bus()
    services = Services(
        database, clock, cloud, passwords, lambda rings, topics: bus.changed(topics), sessions, vault=Vault(bytes(32))
    )
    key = create_key(home / "cluster.key")
    # The collector answers other hosts' questions for samples only, which nobody asks here.
    uploads = uploads_in(database, home / "state", cloud)
    api = Api(services, sessions, bus, cast(Any, None), lambda topics: None, uploads)
    server = Server(Signer(key), api.handlers(), threads=2)
    server.listen_unix(home / "hostd.sock")
    server.start()
    handover = Handover(Signer(key), api.hand_over)
    handover.start(home / SOCKET)
    try:
        yield Office(services)
    finally:
        handover.close()
        server.close()


@pytest.fixture
def dosvm(home: Path, capsys: pytest.CaptureFixture[str]) -> Dosvm:
    """Runs the command line in this process, as somebody who has the office's password in a file."""
    secret = home / "password"
    secret.write_text(PASSWORD + "\n")

    def run(*words: str, who: str = "sysadm") -> Result:
        try:
            code = cli.main(["--as", who, "--password-file", str(secret), *words] if who else list(words))
        finally:
            set_language("en")  # it is the process's, and other tests speak English
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture
def file(home: Path) -> Callable[[str, str], str]:
    """Makes a file with a text and gives its path."""

    def make(name: str, text: str) -> str:
        path = home / name
        path.write_text(text)
        return str(path)

    return make
