"""What an administrator may write into dosvm.toml, and what is said about mistakes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from core.errors import InvalidInput
from hostd.settings import load


def write(home: Path, text: str) -> Path:
    file = home / "dosvm.toml"
    file.write_text(text)
    return file


def test_an_empty_file_gives_defaults_below_the_home(tmp_path: Path) -> None:
    write(tmp_path, "")
    settings = load(tmp_path)
    assert settings.database_url == f"sqlite:///{tmp_path}/cloud.db"
    assert settings.temporary == tmp_path / "tmp"
    assert settings.address == ""
    assert (settings.port, settings.threads) == (5555, 10)
    assert settings.libvirt_url == "qemu:///system"


def test_the_identity_is_made_once_and_comments_stay(tmp_path: Path) -> None:
    file = write(tmp_path, "# mine\n[network]\nport = 6000 # ours\n\n[config]\n# the identity\nhost_name = 'a'\n")
    first = load(tmp_path)
    text = file.read_text()
    assert all(comment in text for comment in ("# mine", "port = 6000 # ours", "# the identity"))
    assert tomllib.loads(text)["config"]["host_uuid"] == first.host_uuid
    assert load(tmp_path).host_uuid == first.host_uuid
    assert file.read_text() == text


def test_an_empty_identity_is_filled_in_and_keeps_its_comment(tmp_path: Path) -> None:
    file = write(tmp_path, '[config]\nhost_uuid = "" # made at the first start\n')
    settings = load(tmp_path)
    assert f'host_uuid = "{settings.host_uuid}" # made at the first start' in file.read_text()


def test_the_files_permissions_stay(tmp_path: Path) -> None:
    file = write(tmp_path, "")
    file.chmod(0o640)
    load(tmp_path)
    assert file.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[netwrk]\n", "netwrk"),
        ("[ssl]\nuse_tls = true\n", "ssl.use_tls"),
        ("[ssl]\nuse_ssl = 'yes'\n", "ssl.use_ssl"),
        ("[ssl]\nuse_ssl = 2\n", "ssl.use_ssl"),
        ("[ssl]\nssl_key = 1\n", "ssl.ssl_key"),
        ("[network]\nprot = 1\n", "network.prot"),
        ("[network]\nport = 70000\n", "network.port"),
        ("[network]\nport = true\n", "network.port"),
        ("[network]\nport = '5555'\n", "network.port"),
        ("[network]\nlocalhost = 'myhost'\n", "network.localhost"),
        ("[network]\nmin_tcp_port = 3000\nmax_tcp_port = 2000\n", "network.max_tcp_port"),
        ("[config]\nhost_uuid = 'x'\n", "config.host_uuid"),
        ("[threads]\ncount = 0\n", "threads.count"),
        ("network = 1\n", "network"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_key(tmp_path: Path, text: str, key: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(InvalidInput) as caught:
        load(tmp_path)
    assert str(file) in caught.value.text()
    assert key in caught.value.text()
    assert "\n" not in caught.value.text()


def test_the_databases_password_is_never_said(tmp_path: Path) -> None:
    write(tmp_path, "[database]\nurl = 'oracle://dba:s3cret@db/dosvm'\n")
    with pytest.raises(InvalidInput) as caught:
        load(tmp_path)
    assert "s3cret" not in caught.value.text() + repr(caught.value.to_wire())
    write(tmp_path, "[database]\nurl = 'mysql://dba:s3cret@db/dosvm'\n")
    assert "s3cret" not in repr(load(tmp_path))


def test_what_is_not_toml_says_where(tmp_path: Path) -> None:
    write(tmp_path, "[network\n")
    with pytest.raises(InvalidInput, match="line 1"):
        load(tmp_path)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="dosvm init"):
        load(tmp_path)


def test_tls_is_off_until_it_is_switched_on_and_its_files_are_below_the_home(tmp_path: Path) -> None:
    write(tmp_path, "[ssl]\nuse_ssl = 0\nssl_cert = '/elsewhere/cert.pem'\n")
    assert load(tmp_path).tls is None
    write(tmp_path, "[ssl]\nuse_ssl = 1\nssl_cert = '/elsewhere/cert.pem'\nssl_password = 's3cret'\n")
    tls = load(tmp_path).tls
    assert tls is not None
    assert (tls.certificate, tls.key) == (Path("/elsewhere/cert.pem"), tmp_path / "pki/key.pem")
    assert "s3cret" not in repr(load(tmp_path)) + repr(tls)
