"""A file is uploaded from a form, and what is wrong with it is told there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.backend import FakeBackend
from tests.ui.conftest import opened, screen_text, until

pytestmark = [pytest.mark.ui, pytest.mark.timeout(300)]


async def test_a_file_is_chosen_sent_and_its_task_followed(
    cloud: FakeBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "debian.iso"
    file.write_bytes(b"x" * 5000)
    said: list[dict[str, Any]] = []
    sent: list[bytes] = []

    def announced(**arguments: Any) -> dict[str, Any]:
        said.append(arguments)
        return {"uuid": "u-1", "name": arguments["name"]}

    def send(payload: bytes, **about: Any) -> dict[str, Any]:
        sent.append(payload)
        if "finish" in about:
            return {"task": cloud.start_task("image.receive", "debian")}
        return {"received": about["offset"] + len(payload)}

    cloud.answers["image.upload"] = announced
    monkeypatch.setattr(cloud, "send", send)
    async with opened(cloud) as pilot:
        await pilot.press("3", "u")
        await until(pilot, lambda: "File here" in screen_text(pilot.app))
        form = pilot.app.screen.form
        form.rows["source"].input.value = str(tmp_path / "none.iso")
        form.rows["name"].input.value = "debian"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "cannot be read" in screen_text(pilot.app))
        form.rows["source"].input.value = str(file)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(said) and "File here" not in screen_text(pilot.app))
    assert (said[0]["source"], said[0]["name"], said[0]["file"]) == (5000, "debian", "debian.iso")
    assert b"".join(sent) == file.read_bytes()
