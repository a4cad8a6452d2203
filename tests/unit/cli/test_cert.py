"""`dosvm cert` as an administrator uses it: made, renewed, listed, put in place; nothing is overwritten unasked."""

from __future__ import annotations

import json
import shutil
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from core.security import authority, certificates
from tests.unit.cli.conftest import Dosvm


@pytest.fixture
def made(dosvm: Dosvm, home: Path) -> Path:
    """A home with an authority and what it issued for host ``a`` and console ``desk``."""
    assert dosvm("cert", "init").code == 0
    assert dosvm("cert", "issue", "a", "--ip", "10.0.0.1", "--dns", "a.example.com").code == 0
    assert dosvm("cert", "issue", "desk", "--ip", "10.0.0.9", "--console").code == 0
    return home


def test_the_list_says_whose_they_are_and_when_they_end(dosvm: Dosvm, made: Path) -> None:
    rows = json.loads(dosvm("cert", "list", "-o", "json").out)
    ours = [row for row in rows if row["file"].startswith(str(made))]
    assert [(row["name"], row["kind"], row["state"]) for row in ours] == [
        ("DOSVM hostd CA", "authority", "valid"),
        ("DOSVM libvirt CA", "authority", "valid"),
        ("a", "host", "valid"),
        ("a", "client", "valid"),
        ("a", "host", "valid"),
        ("desk", "client", "valid"),
    ]
    assert ours[2]["addresses"] == ["10.0.0.1"]
    assert ours[2]["names"] == ["a", "a.example.com"]
    assert 700 < ours[2]["days"] < 731
    assert len([line for line in dosvm("cert", "list").out.splitlines() if " valid " in line]) >= len(ours)


def test_nothing_is_overwritten_without_renew(dosvm: Dosvm, made: Path) -> None:
    for words in (["init"], ["issue", "a", "--ip", "10.0.0.1"]):
        answer = dosvm("cert", *words)
        assert answer.code == 1
        assert "--renew" in answer.err
        assert dosvm("cert", *words, "--renew").code == 0


def test_renewing_needs_the_name_only_and_a_console_stays_one(dosvm: Dosvm, made: Path) -> None:
    assert dosvm("cert", "issue", "desk", "--renew").code == 0
    assert certificates.read(made / "ca/issued/desk/console/cert.pem").addresses == ("10.0.0.9",)
    assert not (made / "ca/issued/desk/hostd").exists()
    assert dosvm("cert", "issue", "a", "--renew", "--ip", "10.0.0.2").code == 0
    assert certificates.read(made / "ca/issued/a/hostd/cert.pem").addresses == ("10.0.0.2",)


def test_hostds_are_shown_first_and_put_in_place_when_told(dosvm: Dosvm, made: Path) -> None:
    shown = dosvm("cert", "hostd", "a")
    assert "use_ssl = true" in shown.out
    assert "Nothing was done" in shown.out
    assert not (made / "pki").exists()
    assert dosvm("cert", "hostd", "a", "--install").code == 0
    assert stat.S_IMODE((made / "pki/key.pem").stat().st_mode) == 0o600
    old = (made / "pki/cert.pem").read_bytes()
    dosvm("cert", "issue", "a", "--renew")
    assert dosvm("cert", "hostd", "a", "--install").code == 1
    assert (made / "pki/cert.pem").read_bytes() == old
    assert dosvm("cert", "hostd", "a", "--install", "--renew").code == 0
    assert (made / "pki/cert.pem").read_bytes() != old


def test_anothers_certificate_is_not_put_in_place(dosvm: Dosvm, made: Path) -> None:
    (made / "dosvm.toml").write_text('[network]\nlocalhost = "10.0.0.7"\n')
    answer = dosvm("cert", "hostd", "a", "--install")
    assert answer.code == 1
    assert "10.0.0.7" in answer.err
    assert not (made / "pki").exists()
    for given in ("desk", "nobody", "../a", str(made)):
        assert dosvm("cert", "hostd", given, "--install").code == 1


def test_libvirts_are_put_where_libvirt_looks_and_its_other_settings_stay(dosvm: Dosvm, made: Path) -> None:
    root = made / "root"
    (root / "etc/libvirt").mkdir(parents=True)
    conf = root / "etc/libvirt/libvirtd.conf"
    conf.write_text('# mine\n#listen_tls = 0\nlisten_tcp = 1\nauth_unix_rw = "polkit"\n')
    conf.chmod(0o640)
    assert dosvm("cert", "libvirt", "a", "--root", str(root)).code == 0
    assert not (root / "etc/pki").exists()
    assert dosvm("cert", "libvirt", "a", "--root", str(root), "--install").code == 0
    text = conf.read_text()
    assert text.startswith('# mine\n#listen_tls = 0\nlisten_tls = 1\nlisten_tcp = 0\nauth_unix_rw = "polkit"\n')
    assert stat.S_IMODE(conf.stat().st_mode) == 0o640
    assert stat.S_IMODE((root / "etc/pki/libvirt/private/serverkey.pem").stat().st_mode) == 0o600
    assert (root / "etc/pki/CA/cacert.pem").read_bytes() == (made / "ca/libvirt/cacert.pem").read_bytes()
    assert dosvm("cert", "libvirt", "a", "--root", str(root), "--install", "--renew").code == 0
    assert conf.read_text() == text


def test_passwords_come_from_files_and_are_never_said(dosvm: Dosvm, home: Path) -> None:
    (home / "ca.pw").write_text("ca-secret\n")
    (home / "key.pw").write_text("key-secret\n")
    sealed = ["--ca-password-file", str(home / "ca.pw")]
    assert dosvm("cert", "init", *sealed).code == 0
    answer = dosvm("cert", "issue", "a", "--ip", "10.0.0.1")
    assert answer.code == 1
    assert "password" in answer.err
    own = ["--key-password-file", str(home / "key.pw")]
    assert dosvm("cert", "issue", "a", "--ip", "10.0.0.1", *sealed, *own).code == 0
    assert dosvm("cert", "hostd", "a", "--install").code == 1
    done = dosvm("cert", "hostd", "a", "--install", *own)
    assert done.code == 0
    assert "ssl_password" in done.out
    assert "secret" not in done.out + done.err
    assert b"ENCRYPTED" in (home / "pki/key.pem").read_bytes()


def test_wrong_words_change_nothing(dosvm: Dosvm, home: Path) -> None:
    for words in (["frob"], ["init", "x"], ["issue"], ["init", "--ip", "10.0.0.1"], ["init", "--days", "x"]):
        assert dosvm("cert", *words).code == 2, words
    for words in (["init", "--days", "0"], ["issue", "a", "--ip", "10.0.0.1"], ["issue", "a"]):
        assert dosvm("cert", *words).code == 1, words
    assert dosvm("cert").code == 2
    assert dosvm("cert", "--help").code == 0
    assert not (home / "ca").exists()


@pytest.mark.parametrize(
    ("address", "days", "age", "level", "said"),
    [
        ("10.0.0.1", 700, 0, "ok", "valid until"),
        ("10.0.0.1", 20, 0, "warning", "ends on"),
        ("10.0.0.1", 20, 30, "problem", "expired"),
        ("10.0.0.7", 700, 0, "problem", "10.0.0.7"),
    ],
)
def test_the_doctor_looks_at_hostds_certificate(
    dosvm: Dosvm, home: Path, monkeypatch: pytest.MonkeyPatch, address: str, days: int, age: int, level: str, said: str
) -> None:
    dosvm("cert", "init")
    with monkeypatch.context() as patched:
        patched.setattr(authority, "utc_now", lambda: certificates.utc_now() - timedelta(days=age))
        dosvm("cert", "issue", "a", "--ip", "10.0.0.1", "--days", str(days))
    dosvm("cert", "hostd", "a", "--install")
    (home / "dosvm.toml").write_text(f'[network]\nlocalhost = "{address}"\n[ssl]\nuse_ssl = true\n')
    dosvm_key(home)
    findings = json.loads(dosvm("doctor", "-o", "json", who="").out)
    found = [finding for finding in findings if finding["check"] == "TLS"]
    assert (found[0]["level"], said in found[0]["text"]) == (level, True), found


def test_the_doctor_says_which_file_is_missing(dosvm: Dosvm, home: Path) -> None:
    (home / "dosvm.toml").write_text("[ssl]\nuse_ssl = true\n")
    dosvm_key(home)
    findings = json.loads(dosvm("doctor", "-o", "json", who="").out)
    found = next(finding for finding in findings if finding["check"] == "TLS")
    assert found["level"] == "problem"
    assert "pki/cert.pem" in found["text"]
    shutil.rmtree(home / "state", ignore_errors=True)


def dosvm_key(home: Path) -> None:
    from core.rpc.signature import create_key

    create_key(home / "cluster.key")
