"""Where the first-run helper proposes to keep images and volumes: with the cloud, where QEMU comes to them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from screens.generic.fields import form_fields
from screens.resources.cloud import SPEC
from screens.spec import Action


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cloud that `make run DOSVM_HOME=...` made; pytest's own directories are closed to other accounts."""
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        place.chmod(0o755)
        (place / "dosvm.toml").touch()
        monkeypatch.setenv("DOSVM_HOME", made)
        yield place


def proposed() -> tuple[str, str]:
    action: Action = next(one for one in SPEC.actions if one.verb == "prepare")
    values = {field.key: field.value for field in form_fields(action.fields)}
    return values["directory"], values["pool_path"]


STANDARD = ("/var/lib/dosvm/images", "/var/lib/dosvm/volumes")


def test_a_cloud_elsewhere_keeps_its_images_and_volumes_there(elsewhere: Path) -> None:
    assert proposed() == (f"{elsewhere}/images", f"{elsewhere}/volumes")


def test_not_where_qemu_would_not_come_through(elsewhere: Path) -> None:
    elsewhere.chmod(0o750)
    assert proposed() == STANDARD


def test_not_where_no_cloud_of_this_machine_is(elsewhere: Path) -> None:
    (elsewhere / "dosvm.toml").unlink()
    assert proposed() == STANDARD


@pytest.mark.parametrize("home", ["/var/lib/dosvm", "/etc/dosvm", "/nowhere", ""])
def test_the_usual_places_stay(monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    monkeypatch.setenv("DOSVM_HOME", home)
    assert proposed() == STANDARD
