"""The cloud's own authority: what it issues fits its holder, is nobody else's, and is never overwritten by accident."""

from __future__ import annotations

import ssl
import stat
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from core.errors import DosvmError, InvalidInput, NotFound, Refused
from core.security.authority import Holder, create, holder_of, issue, list_all
from core.security.certificates import check_pair, has_address, read, utc_now

HOST = Holder.checked("web1", ["10.0.0.1", "fd00::1"], ["web1.example.com"])


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    directory = tmp_path / "ca"
    create(directory)
    return directory


def test_a_host_gets_certificates_for_its_addresses_and_names(ca: Path) -> None:
    place = issue(ca, HOST)
    for kind, prefix in (("hostd", ""), ("libvirt", "server"), ("libvirt", "client")):
        found = check_pair(
            place / kind / f"{prefix}cert.pem", place / kind / f"{prefix}key.pem", place / kind / "cacert.pem"
        )
        assert found.addresses == ("10.0.0.1", "fd00::1")
        assert found.names == ("web1", "web1.example.com")
        assert found.client
        assert found.server == (prefix != "client")
        assert not found.authority
        assert has_address(found, "fd00:0:0::1")
        assert not has_address(found, "10.0.0.2")


def test_openssl_finds_the_chains_right(ca: Path) -> None:
    place = issue(ca, HOST)
    for kind, file, purpose, good in (
        ("hostd", "cert.pem", "sslserver", True),
        ("hostd", "cert.pem", "sslclient", True),
        ("libvirt", "servercert.pem", "sslserver", True),
        ("libvirt", "clientcert.pem", "sslclient", True),
        ("libvirt", "clientcert.pem", "sslserver", False),
    ):
        command = ["openssl", "verify", "-x509_strict", "-CAfile", place / kind / "cacert.pem", "-purpose", purpose]
        done = subprocess.run([*command, place / kind / file], capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == good, done.stdout + done.stderr


def test_a_console_gets_nothing_that_libvirtd_takes(ca: Path) -> None:
    place = issue(ca, Holder.checked("desk", ["10.0.0.9"]), console=True)
    assert sorted(file.name for file in place.rglob("*") if file.is_file()) == ["cacert.pem", "cert.pem", "key.pem"]
    found = read(place / "console/cert.pem")
    assert found.client
    assert not found.server
    assert found.signed_by(read(ca / "hostd/cacert.pem"))
    assert not found.signed_by(read(ca / "libvirt/cacert.pem"))


def test_keys_are_their_owners_alone(ca: Path) -> None:
    issue(ca, HOST)
    keys = list(ca.rglob("*key.pem"))
    assert len(keys) == 5
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    assert {stat.S_IMODE(d.stat().st_mode) for d in [ca, *ca.rglob("*")] if d.is_dir()} == {0o700}


def test_nothing_is_overwritten_unless_asked(ca: Path) -> None:
    issue(ca, HOST)
    before = {file: file.read_bytes() for file in ca.rglob("*.pem")}
    for again in (lambda: create(ca), lambda: issue(ca, HOST), lambda: issue(ca, HOST, console=True)):
        with pytest.raises(Refused, match="--renew"):
            again()
    assert {file: file.read_bytes() for file in ca.rglob("*.pem")} == before


def test_a_renewed_certificate_has_a_new_key_and_the_same_holder(ca: Path) -> None:
    place = issue(ca, HOST, days=10)
    old, old_key = read(place / "hostd/cert.pem"), (place / "hostd/key.pem").read_bytes()
    assert holder_of(ca, "web1") == (HOST, False)
    issue(ca, holder_of(ca, "web1")[0], renew=True)
    new = read(place / "hostd/cert.pem")
    assert (new.addresses, new.names) == (old.addresses, old.names)
    assert new.ends > old.ends + timedelta(days=300)
    assert (place / "hostd/key.pem").read_bytes() != old_key
    assert not [file for file in (ca / "issued").iterdir() if file.name != "web1"]
    with pytest.raises(NotFound):
        issue(ca, Holder.checked("other", ["10.0.0.3"]), renew=True)


def test_a_renewed_authority_keeps_what_it_signed_good(ca: Path) -> None:
    place = issue(ca, HOST)
    old = read(ca / "hostd/cacert.pem")
    create(ca, days=7000, renew=True)
    new = read(ca / "hostd/cacert.pem")
    assert new.ends > old.ends
    assert check_pair(place / "hostd/cert.pem", place / "hostd/key.pem", ca / "hostd/cacert.pem").name == "web1"


def test_no_certificate_outlives_its_authority(tmp_path: Path) -> None:
    create(tmp_path / "ca", days=10)
    found = read(issue(tmp_path / "ca", HOST, days=700) / "hostd/cert.pem")
    assert found.ends <= read(tmp_path / "ca/hostd/cacert.pem").ends
    now = utc_now()
    assert found.state(now) == "soon"
    assert found.state(now + timedelta(days=11)) == "expired"
    assert found.state(now - timedelta(days=2)) == "early"
    assert found.days_left(now) in (9, 10)


def test_keys_sealed_with_a_password_need_it(tmp_path: Path) -> None:
    ca = tmp_path / "ca"
    create(ca, password="ca-secret")
    for wrong in ("", "other"):
        with pytest.raises(InvalidInput) as caught:
            issue(ca, HOST, password=wrong)
        assert "ca-secret" not in caught.value.text()
        assert not (ca / "issued/web1").exists()
    place = issue(ca, HOST, password="ca-secret", key_password="host-secret")
    files = place / "hostd/cert.pem", place / "hostd/key.pem", place / "hostd/cacert.pem"
    with pytest.raises(InvalidInput, match="password"):
        check_pair(*files)
    assert check_pair(*files, "host-secret").name == "web1"
    # libvirtd cannot be given a password.
    check_pair(place / "libvirt/servercert.pem", place / "libvirt/serverkey.pem", place / "libvirt/cacert.pem")


@pytest.mark.parametrize(
    ("name", "addresses", "names", "field"),
    [
        ("../etc", ["10.0.0.1"], [], "name"),
        (".hidden", ["10.0.0.1"], [], "name"),
        ("a/b", ["10.0.0.1"], [], "name"),
        ("", ["10.0.0.1"], [], "name"),
        ("web1", [], [], "ip"),
        ("web1", ["web1"], [], "ip"),
        ("web1", ["0.0.0.0"], [], "ip"),
        ("web1", ["10.0.0.1/24"], [], "ip"),
        ("web1", ["10.0.0.1"], ["*.example.com"], "dns"),
        ("web1", ["10.0.0.1"], ["a b"], "dns"),
    ],
)
def test_what_cannot_be_issued_is_named(name: str, addresses: list[str], names: list[str], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Holder.checked(name, addresses, names)
    assert caught.value.field == field


def test_a_key_that_everybody_reads_or_that_is_anothers_is_refused(ca: Path) -> None:
    place = issue(ca, HOST) / "hostd"
    other = issue(ca, Holder.checked("web2", ["10.0.0.2"])) / "hostd"
    with pytest.raises(InvalidInput, match="is not the private key"):
        check_pair(place / "cert.pem", other / "key.pem", place / "cacert.pem")
    with pytest.raises(InvalidInput, match="not signed"):
        check_pair(place / "cert.pem", place / "key.pem", ca / "libvirt/cacert.pem")
    (place / "key.pem").chmod(0o644)
    with pytest.raises(InvalidInput, match="chmod 640"):
        check_pair(place / "cert.pem", place / "key.pem", place / "cacert.pem")


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_what_is_no_certificate_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pem").write_bytes(content)
    with pytest.raises(InvalidInput, match=r"x\.pem"):
        read(tmp_path / "x.pem")


def test_a_disk_that_refuses_leaves_nothing_half_made(ca: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0

    def full(path: Path, data: bytes, mode: int) -> None:
        nonlocal count
        count += 1
        if count > 3:
            raise Refused("no space left")

    monkeypatch.setattr("core.security.authority.write_file", full)
    with pytest.raises(DosvmError):
        issue(ca, HOST)
    assert not list((ca / "issued").iterdir())


def test_the_list_has_authorities_first_and_each_holders(ca: Path) -> None:
    issue(ca, HOST)
    issue(ca, Holder.checked("desk", ["10.0.0.9"]), console=True)
    shown = [str(file.relative_to(ca)) for file in list_all(ca)]
    assert shown == [
        "hostd/cacert.pem",
        "libvirt/cacert.pem",
        "issued/desk/console/cert.pem",
        "issued/web1/hostd/cert.pem",
        "issued/web1/libvirt/clientcert.pem",
        "issued/web1/libvirt/servercert.pem",
    ]


def test_python_takes_the_files_as_they_are(ca: Path) -> None:
    place = issue(ca, HOST) / "hostd"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place / "cert.pem", place / "key.pem")
    context.load_verify_locations(place / "cacert.pem")
