"""Which hostds a console asks: what may be written, what is said about mistakes, and who is asked when one is gone."""

from __future__ import annotations

import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import DosvmError, HostdUnavailable, InvalidInput
from core.rpc import parameters, ways
from core.rpc.backend import HostdBackend
from core.rpc.calls import CALL, CALLS, HELLO
from core.rpc.signature import Signer
from core.rpc.tls import Tls, TlsFiles
from core.rpc.ways import ConsoleSettings, Ways, address_of, load, save, try_all
from core.security.authority import Holder, create, issue
from hostd.server import Server

HERE = "127.0.0.1"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("pki")
    create(place)
    issue(place, Holder.checked("here", [HERE]))
    issue(place, Holder.checked("desk", [HERE]), console=True)
    return place / "issued"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOSVM_HOME", str(tmp_path))
    return tmp_path / "console.toml"


class Hosts:
    """Hostds that tell their name and count their news each by itself."""

    def __init__(self, pki: Path) -> None:
        self._pki = pki
        self.servers: dict[str, Server] = {}
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    def start(self, name: str, port: int = 0) -> str:
        import socket

        with socket.socket() as probe:
            probe.bind((HERE, port))
            port = probe.getsockname()[1]

        def handler(call: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
            def answer(body: dict[str, Any]) -> dict[str, Any]:
                self.asked.append((name, call, body))
                return {"host": name, "version": "1", "revision": 7 if name == "one" else 3, "tasks": []}

            return answer

        server = Server(Signer(b"k" * 32), {call: handler(call) for call in CALLS}, threads=2)
        place = self._pki / "here/hostd"
        server.listen_tcp(HERE, port, Tls(TlsFiles(place / "cacert.pem", place / "cert.pem", place / "key.pem")))
        server.start()
        self.servers[name] = server
        return f"{HERE}:{port}"

    def settings(self, *hosts: str) -> ConsoleSettings:
        place = self._pki / "desk/console"
        return ConsoleSettings(
            hosts, True, str(place / "cert.pem"), str(place / "key.pem"), str(place / "cacert.pem")
        ).checked()


@pytest.fixture
def hosts(pki: Path) -> Iterator[Hosts]:
    made = Hosts(pki)
    yield made
    for server in made.servers.values():
        server.close()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("local", None),
        ("192.168.2.189", ("192.168.2.189", 5555)),
        ("192.168.2.189:6000", ("192.168.2.189", 6000)),
        ("web-1.example.com:1", ("web-1.example.com", 1)),
        ("fd00::1", ("fd00::1", 5555)),
        ("[fd00::1]:6000", ("fd00::1", 6000)),
    ],
)
def test_a_host_as_people_write_it(text: str, address: tuple[str, int] | None) -> None:
    assert address_of(text) == address


@pytest.mark.parametrize(
    "text", ["", "a b", "http://a", "a:0", "a:65536", "a:x", "a:", "[::1", "::g", "-a", "a/b", "a@b", "用"]
)
def test_what_is_no_host_is_named(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        address_of(text)
    assert caught.value.field == "hosts"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("hosts = 'a'\n", "hosts"),
        ("hosts = ['a b']\nuse_ssl = true\n", "hosts"),
        ("hosts = ['10.0.0.1']\n", "use_ssl"),
        ("hosts = ['10.0.0.1']\nuse_ssl = 'yes'\n", "use_ssl"),
        ("hosts = ['10.0.0.1']\nuse_ssl = true\n", "ssl_cert"),
        ("ssl_pasword = 's3cret'\n", "ssl_pasword"),
        ("ssl_password = 4711\n", "ssl_password"),
        ("hosts = [\n", "TOML"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_key(file: Path, text: str, key: str) -> None:
    file.write_text(text)
    with pytest.raises(InvalidInput) as caught:
        load(file)
    said = caught.value.text()
    assert str(file) in said
    assert key in said
    assert "s3cret" not in said
    assert "\n" not in said


def test_what_is_saved_is_read_again_and_a_password_is_its_owners(file: Path) -> None:
    settings = ConsoleSettings(("10.0.0.1", "local"), True, '/a "b"/c.pem', "/钥.pem", "/ca.pem", "s3\\cret")
    save(file, settings)
    assert load(file) == settings
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "s3" not in repr(settings)
    save(file, ConsoleSettings())
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


def test_whose_file_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOSVM_HOME", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "own"))
    monkeypatch.setattr(ways, "DEFAULT_HOME", str(tmp_path / "machine"))
    own, machines = tmp_path / "own/dosvm/console.toml", tmp_path / "machine/console.toml"
    assert ways.settings_file() == own  # the machine's directory is not there, or not to be written
    (tmp_path / "machine").mkdir()
    assert ways.settings_file() == machines
    save(own, ConsoleSettings())
    assert ways.settings_file() == own
    monkeypatch.setenv("DOSVM_HOME", str(tmp_path))
    assert ways.settings_file() == tmp_path / "console.toml"


def test_the_next_host_is_asked_when_one_is_gone(hosts: Hosts, file: Path) -> None:
    save(file, hosts.settings(hosts.start("one"), hosts.start("two")))
    way = Ways(file)
    assert way.request(HELLO, {})["host"] == "one"
    hosts.servers["one"].close()
    assert way.request(HELLO, {})["host"] == "two"
    assert way.request(HELLO, {})["host"] == "two"
    hosts.servers["two"].close()
    with pytest.raises(HostdUnavailable):
        way.request(HELLO, {})


def test_a_host_that_comes_late_is_waited_for(hosts: Hosts, file: Path) -> None:
    gone = hosts.start("one")
    hosts.servers["one"].close()
    save(file, hosts.settings(gone))
    timer = threading.Timer(0.5, hosts.start, ("one", int(gone.partition(":")[2])))
    timer.start()
    assert Ways(file).request(HELLO, {}, patience=10)["host"] == "one"
    timer.join()


def test_a_change_sent_again_to_the_next_host_keeps_its_request_key(hosts: Hosts, file: Path) -> None:
    save(file, hosts.settings(hosts.start("one"), hosts.start("two")))
    backend = HostdBackend(Ways(file))
    backend.call("vm.start", vm="x")
    hosts.servers["one"].close()
    backend.call("vm.stop", vm="x")
    assert [(name, call, body["operation"]) for name, call, body in hosts.asked] == [
        ("one", CALL.name, "vm.start"),
        ("two", CALL.name, "vm.stop"),
    ]


def test_news_of_another_host_are_all_new(hosts: Hosts, file: Path) -> None:
    save(file, hosts.settings(hosts.start("one"), hosts.start("two")))
    backend = HostdBackend(Ways(file))
    since = backend.wait()["revision"]
    backend.wait(since=since)
    hosts.servers["one"].close()
    with pytest.raises(HostdUnavailable):
        backend.wait(since=since)
    backend.wait(since=since)
    assert [(name, body["since"]) for name, _call, body in hosts.asked] == [("one", -1), ("one", 7), ("two", -1)]


def test_what_is_changed_in_the_file_counts_for_the_next_question(hosts: Hosts, file: Path) -> None:
    one, two = hosts.start("one"), hosts.start("two")
    save(file, hosts.settings(one))
    way = Ways(file)
    assert way.request(HELLO, {})["host"] == "one"
    save(file, hosts.settings(two))
    assert way.request(HELLO, {})["host"] == "two"
    file.write_text("hosts = 1\n")
    with pytest.raises(InvalidInput, match=r"console\.toml"):
        way.request(HELLO, {})
    save(file, hosts.settings(one))
    assert way.request(HELLO, {})["host"] == "one"


def test_nothing_is_saved_before_a_host_has_answered(hosts: Hosts, file: Path) -> None:
    good = hosts.settings(hosts.start("one"))
    typed = {key: getattr(good, key) for key in ("use_ssl", "ssl_cert", "ssl_key", "ssl_ca")}
    with pytest.raises(HostdUnavailable):
        parameters.save({**typed, "hosts": [f"{HERE}:1"]})
    with pytest.raises(InvalidInput, match="/no/such"):
        parameters.save({**typed, "hosts": list(good.hosts), "ssl_ca": "/no/such"})
    with pytest.raises(InvalidInput) as caught:
        parameters.save({**typed, "hosts": list(good.hosts), "use_ssl": False})
    assert caught.value.field == "use_ssl"
    assert not file.exists()
    tried = parameters.save({**typed, "hosts": [f"{HERE}:1", *good.hosts]})
    assert [one.host for one in tried] == ["", "one"]
    assert load(file).hosts == (f"{HERE}:1", *good.hosts)
    parameters.save({**typed, "hosts": [f"{HERE}:1"], "anyway": True})
    assert load(file).hosts == (f"{HERE}:1",)


def _refused(typed: dict[str, Any], field: str, words: str) -> None:
    for anyway in (False, True):
        with pytest.raises(InvalidInput) as caught:
            parameters.save({**typed, "anyway": anyway})
        assert caught.value.field == field, caught.value.text()
        assert words in caught.value.text()
        assert caught.value.remedy or "letters" in words
    assert not ways.settings_file().exists()


@pytest.mark.parametrize("on", [False, True])
@pytest.mark.parametrize("local", [False, True])
def test_a_file_that_cannot_be_used_is_refused_at_its_field_whatever_is_asked(
    hosts: Hosts, file: Path, pki: Path, on: bool, local: bool
) -> None:
    good = hosts.settings(hosts.start("one"))
    typed: dict[str, Any] = {key: getattr(good, key) for key in ways.FILES}
    typed |= {"hosts": [] if local or not on else list(good.hosts), "use_ssl": on}
    other = Path(file.parent / "note.pem")
    other.write_text("milk, bread\n")
    for key in ways.FILES:
        _refused({**typed, key: "/no/such.pem"}, key, "/no/such.pem")
        _refused({**typed, key: str(file.parent)}, key, "cannot be read")
        _refused({**typed, key: str(other)}, key, "in PEM form")
        _refused({**typed, key: "/a?b"}, key, "letters")
        _refused({**typed, key: "/" + 128 * "a"}, key, "letters")
    _refused({**typed, "ssl_key": str(pki / "here/hostd/key.pem")}, "ssl_key", "is not the private key of")
    _refused({**typed, "ssl_cert": good.ssl_key}, "ssl_cert", "no certificate in PEM form")
    locked = _with_password(Path(good.ssl_key), file.parent / "locked.pem")
    _refused({**typed, "ssl_key": locked}, "ssl_password", "needs a password")
    _refused({**typed, "ssl_key": locked, "ssl_password": "wrong"}, "ssl_password", "password is wrong")
    _refused({"hosts": [], "ssl_password": "s3cret"}, "ssl_password", "no private key")
    parameters.save({**typed, "ssl_key": locked, "ssl_password": "s3cret", "anyway": True})
    assert load(file).ssl_password == "s3cret"


def _with_password(key: Path, made: Path) -> str:
    from cryptography.hazmat.primitives import serialization as form

    private = form.load_pem_private_key(key.read_bytes(), None)
    locked = form.BestAvailableEncryption(b"s3cret")
    made.write_bytes(private.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, locked))
    made.chmod(0o600)
    return str(made)


@pytest.mark.parametrize("asked", [[], ["local"], ["10.0.0.1"]])
def test_tls_needs_all_three_files_also_where_only_this_machine_is_asked(
    hosts: Hosts, file: Path, asked: list[str]
) -> None:
    good = hosts.settings()
    typed: dict[str, Any] = {key: getattr(good, key) for key in ways.FILES}
    for key in ways.FILES:
        _refused({**typed, "hosts": asked, "use_ssl": True, key: ""}, key, "With SSL on")


def test_some_of_the_files_may_be_named_while_tls_is_off(hosts: Hosts, file: Path) -> None:
    good = hosts.settings()
    parameters.save({"hosts": [], "ssl_ca": good.ssl_ca, "anyway": True})
    assert load(file).ssl_ca == good.ssl_ca


def test_the_password_stays_as_long_as_the_key(file: Path) -> None:
    save(file, ConsoleSettings((), False, "c", "k", "a", "s3cret"))
    assert parameters.changed_by({"ssl_key": "k"}).ssl_password == "s3cret"
    assert parameters.changed_by({"ssl_key": "other"}).ssl_password == ""
    assert parameters.changed_by({"ssl_key": "k", "ssl_password": "new"}).ssl_password == "new"
    assert "s3cret" not in repr(parameters.row())


def test_a_machine_that_does_not_answer_is_soon_given_up_when_there_are_others(
    hosts: Hosts, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    silent = socket.socket()
    silent.bind((HERE, 0))
    silent.listen(0)
    full = [socket.create_connection(silent.getsockname(), 0.3) for _ in range(1)]  # its queue is full now
    address = f"{HERE}:{silent.getsockname()[1]}"
    save(file, hosts.settings(address, hosts.start("two")))
    begin = time.monotonic()
    assert Ways(file).request(HELLO, {})["host"] == "two"
    assert time.monotonic() - begin < 10
    for each in (*full, silent):
        each.close()


def test_every_host_is_told_about(hosts: Hosts, file: Path) -> None:
    tried = try_all(hosts.settings(f"{HERE}:1", hosts.start("two")), file.parent)
    assert isinstance(tried[0].error, DosvmError)
    assert (tried[1].host, tried[1].version, tried[1].error) == ("two", "1", None)
