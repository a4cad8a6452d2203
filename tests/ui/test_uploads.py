"""A file is uploaded from a form, and what is wrong with it is told there."""

from __future__ import annotations

import itertools
import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from core.errors import InvalidInput
from core.rpc.handover import Told
from screens.courier import THREADS
from tests.fakes.backend import FakeBackend
from tests.ui.conftest import opened, screen_text, shows, until

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
        await shows(pilot, "File here", "3", "u")
        form = pilot.app.screen.form
        form.rows["source"].input.value = str(tmp_path / "none.iso")
        form.rows["name"].input.value = "debian"
        await shows(pilot, "cannot be read", "ctrl+s")
        form.rows["source"].input.value = str(file)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(said) and "File here" not in screen_text(pilot.app))
        await until(pilot, lambda: [task.what for task in pilot.app.context.tasks.all] == ["Upload"])
        await until(pilot, lambda: bool(pilot.app.context.tasks.running))
    assert (said[0]["source"], said[0]["name"], said[0]["file"]) == (5000, "debian", "debian.iso")
    assert b"".join(sent) == file.read_bytes()


async def test_what_was_typed_comes_back_when_what_arrived_is_refused(
    cloud: FakeBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key r of F3 did nothing for an upload whose look had failed; the guide promises the form."""
    file = tmp_path / "debian.iso"
    file.write_bytes(b"x" * 5000)
    cloud.answers["image.upload"] = lambda **arguments: {"uuid": "u-1", "name": arguments["name"]}

    def send(payload: bytes, **about: Any) -> dict[str, Any]:
        if "finish" in about:
            return {"task": cloud.start_task("image.receive", "debian")}
        return {"received": about["offset"] + len(payload)}

    monkeypatch.setattr(cloud, "send", send)
    async with opened(cloud) as pilot:
        await shows(pilot, "File here", "3", "u")
        form = pilot.app.screen.form
        form.rows["source"].input.value = str(file)
        form.rows["name"].input.value = "debian"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(cloud.tasks))
        (task,) = cloud.tasks
        wrong = {"code": "invalid", "message": "It is no such image.", "field": "format", "parameters": {}}
        cloud.end_task(task, error=wrong)
        await shows(pilot, "r: again with what was typed", "f3")
        await shows(pilot, "It is no such image.", "r")
        form = pilot.app.screen.form
        assert form.rows["format"].error == "It is no such image."
        assert form.rows["source"].input.value == str(file)
        assert form.rows["name"].input.value == "debian"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: len(cloud.called("image.upload")) == 2)


async def test_a_wrong_format_is_told_at_its_field_before_anything_is_sent(cloud: FakeBackend, tmp_path: Path) -> None:
    file = tmp_path / "server.img"
    file.write_bytes(b"QFI\xfb" + (3).to_bytes(4, "big") + bytes(5000))
    async with opened(cloud) as pilot:
        await shows(pilot, "File here", "3", "u")
        form = pilot.app.screen.form
        form.rows["source"].input.value = str(file)
        form.rows["name"].input.value = "server"
        await shows(pilot, "not a raw image but qcow2", "ctrl+s")
        assert "not a raw image" in form.rows["format"].error
    assert not cloud.called("image.upload")


async def test_what_is_no_plain_file_is_refused_at_its_field_at_once(cloud: FakeBackend, tmp_path: Path) -> None:
    """Nobody is at the other end of the FIFO; a form that waited for him would stay mute."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    async with opened(cloud) as pilot:
        await shows(pilot, "File here", "3", "u")
        form = pilot.app.screen.form
        form.rows["source"].input.value = str(pipe)
        form.rows["name"].input.value = "debian"
        await shows(pilot, "is not a plain file", "ctrl+s")
        assert "Ctrl+S sends" in screen_text(pilot.app)
    assert not cloud.called("image.upload")


async def test_a_file_that_does_not_answer_says_so_and_holds_nothing_else_up(
    cloud: FakeBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forms that were left while files hang would otherwise have used up every thread that fills lists."""
    file = tmp_path / "debian.iso"
    file.write_bytes(b"x" * 5000)
    there, really = threading.Event(), os.open

    def hanging(path: Any, *arguments: Any, **more: Any) -> int:
        if str(path) == str(file):
            there.wait(60)
        return really(path, *arguments, **more)

    cloud.refuse["image.upload"] = InvalidInput("It is too large.", field="source")
    monkeypatch.setattr("core.rpc.upload.os.open", hanging)
    try:
        async with opened(cloud) as pilot:
            await pilot.press("3")
            for last in [False] * THREADS + [True]:
                await shows(pilot, "File here", "u")
                form = pilot.app.screen.form
                form.rows["source"].input.value = str(file)
                form.rows["name"].input.value = "debian"
                await shows(pilot, "The file is being opened", "ctrl+s")
                if last:
                    break
                await shows(pilot, "not answered yet", "escape")
                pilot.app.screen.dismiss(True)
                await until(pilot, lambda: "File here" not in screen_text(pilot.app))
                asked = len(cloud.called("image.list"))
                await pilot.press("r")
                await until(pilot, lambda before=asked: len(cloud.called("image.list")) > before)  # type: ignore[misc]
            there.set()
            await until(pilot, lambda: "It is too large." in screen_text(pilot.app))
            assert "The file is being opened" not in screen_text(pilot.app)
            assert "Ctrl+S sends" in screen_text(pilot.app)
    finally:
        there.set()


async def test_a_file_on_its_way_holds_nothing_up_is_broken_off_and_gone_on_with(
    cloud: FakeBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form closes, lists go on, F3 shows a bar with rate and time left; c breaks it off, r goes on with it."""
    file = tmp_path / "debian.iso"
    file.write_bytes(b"x" * 5000)
    begun: list[int] = []
    slow = threading.Event()
    cloud.answers["image.upload"] = lambda **arguments: {"uuid": "u-1", "name": arguments["name"]}

    def hand_over(_descriptor: int, told: Told, **_about: Any) -> dict[str, Any]:
        begun.append(1)
        for done in itertools.count(1):
            if told(min(4000, done * 50), 0):
                return {}
            if slow.wait(0.05):
                return {"received": 5000}
        raise AssertionError

    monkeypatch.setattr(cloud, "hand_over", hand_over)
    monkeypatch.setattr(cloud, "send", lambda _part, **_about: {"task": cloud.start_task("image.receive", "debian")})
    try:
        async with opened(cloud) as pilot:
            await shows(pilot, "File here", "3", "u")
            form = pilot.app.screen.form
            form.rows["source"].input.value = str(file)
            form.rows["name"].input.value = "debian"
            await pilot.press("ctrl+s")
            await until(pilot, lambda: bool(begun) and "File here" not in screen_text(pilot.app))
            await until(pilot, lambda: "1 task" in screen_text(pilot.app))
            await shows(pilot, "/s, 0:", "f3")
            assert "Upload debian" in screen_text(pilot.app)
            assert "c breaks it off" in screen_text(pilot.app)
            await shows(pilot, "r goes on with it", "c")
            assert "cancelled" in screen_text(pilot.app)
            await pilot.press("r")
            await until(pilot, lambda: len(begun) == 2)
            await shows(pilot, "A file is being sent from here", "escape", "ctrl+q")
            assert re.search(r"Upload debian: [1-9]\d?%", screen_text(pilot.app)), "which, and how far it is"
            await pilot.press("escape")
            assert pilot.app.context.tasks.sending
            await shows(pilot, "A file is being sent from here", "f10")
            assert re.search(r"Upload debian: [1-9]\d?%", screen_text(pilot.app))
            await pilot.press("escape")
            await until(pilot, lambda: "A file is being sent from here" not in screen_text(pilot.app))
            assert pilot.app.context.user, "nobody was logged out"
            slow.set()
            await until(pilot, lambda: bool(pilot.app.context.tasks.running))
            assert not pilot.app.context.tasks.sending
    finally:
        slow.set()


async def test_who_logs_out_nonetheless_breaks_it_off(
    cloud: FakeBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "debian.iso"
    file.write_bytes(b"x" * 5000)
    broken_off, over = threading.Event(), threading.Event()
    cloud.answers["image.upload"] = lambda **arguments: {"uuid": "u-1", "name": arguments["name"]}

    def hand_over(_descriptor: int, told: Told, **_about: Any) -> dict[str, Any]:
        while not over.wait(0.05):
            if told(1000, 0):
                broken_off.set()
                return {}
        return {}

    monkeypatch.setattr(cloud, "hand_over", hand_over)
    try:
        async with opened(cloud) as pilot:
            await pilot.press("3", "u")
            await until(pilot, lambda: "File here" in screen_text(pilot.app))
            form = pilot.app.screen.form
            form.rows["source"].input.value = str(file)
            form.rows["name"].input.value = "debian"
            await pilot.press("ctrl+s")
            await until(pilot, lambda: bool(pilot.app.context.tasks.sending))
            await pilot.press("f10")
            await until(pilot, lambda: "A file is being sent from here" in screen_text(pilot.app))
            await pilot.press("tab", "enter")
            await until(pilot, broken_off.is_set)
            await until(pilot, lambda: not pilot.app.context.user)
    finally:
        over.set()


async def test_of_an_upload_the_list_says_how_far_it_is_and_offers_what_fits(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "Arrived", "3")
        (line,) = [line for line in screen_text(pilot.app).splitlines() if "server.qcow2" in line]
        assert re.search(r"uploading +37%", line)
        await shows(pilot, "It is not being uploaded", "c")
        await shows(pilot, "change it when all of it is there", "down", "e")
        await shows(pilot, "The upload of server.qcow2 ends", "c")
        await pilot.press("right", "enter")
        await until(pilot, lambda: len(cloud.called("image.cancel")) == 1)
