"""What the main screens look like, at 80x24 and 160x48, in English and Chinese.

They are compared with pictures that somebody looked at. After a change that is meant, run
``pytest tests/ui/test_looks.py --snapshot-update`` and look at every picture that changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from core.errors import Conflict, Refused
from core.i18n import set_language
from screens import registry
from screens.generic.fields import offered
from screens.spec import PROJECT, SYSADM
from tests.fakes.backend import FakeBackend
from tests.fakes.world import NASTY, vm_row
from tests.ui.conftest import console_over, rows_are_there, screen_text, shows, still, typed, until

pytestmark = pytest.mark.ui

SIZES = {"80x24": (80, 24), "160x48": (160, 48)}
LANGUAGES = ("en", "zh_CN")

#: Screen -> account, keys; ":name" opens a resource.
SCREENS: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "login": (None, ()),
    "vms": ("zhao", ()),
    "vm": ("zhao", ("enter",)),
    "failed-vm": ("zhao", ("down", "down", "down", "down", "down", "enter")),
    "power-off": ("zhao", ("o",)),
    "add-volume": ("zhao", ("2", "a", "ctrl+s")),
    "volumes": ("zhao", ("2",)),
    "volume": ("zhao", ("2", "enter")),
    "snapshot-tree": ("zhao", ("2", "t")),
    "snapshot": ("zhao", ("2", "t", "down", "down", "enter")),
    "make-snapshot": ("zhao", ("2", "n")),
    "images": ("zhao", ("3",)),
    "usage": ("zhao", ("4", "enter")),
    "users": ("sysadm", ()),
    "projects": ("sysadm", ("2",)),
    "configure": ("sysadm", ("2", "c")),
    "delete-project": ("sysadm", ("2", "d")),
    "trash": ("sysadm", ("6", "]", "]", "]")),
    "hosts": ("sysadm", ("4",)),
    "host": ("sysadm", ("4", "enter")),
    "secrets": ("sysadm", ("5",)),
    "add-secret": ("sysadm", ("5", "a")),
    "edit-secret": ("sysadm", ("5", "e")),
    "host-history": ("sysadm", ("4", "h")),
    "history-chart": ("sysadm", ("4", "c", "0", "left", "left")),
    "one-history-chart": ("sysadm", ("4", "c", "tab", "p")),
    "clear-history": ("sysadm", ("4", "h", "d")),
    "settings": ("sysadm", ("7",)),
    "edit-settings": ("sysadm", ("7", "e", "1", "0", "0", "down", "backspace", "backspace", "5")),
    "columns": ("zhao", ("O",)),
    "tray": ("zhao", ("b", "right", "enter", "f3")),
    "copy": ("zhao", ("Y", "down")),
    "help": ("sysadm", ("f1",)),
    "marked-report": ("zhao", ("space", "space", "b", "right", "enter")),
    "details-beside": ("zhao", ("P", "P")),
    "log": ("sysadm", (":log",)),
    "login-log": ("sysadm", (":login-log",)),
    "log-purge": ("sysadm", (":log-purge",)),
    "log-filter": ("sysadm", (":log", "f")),
    "log-clear": ("sysadm", (":log", "d")),
    "usage-large": ("zhao", ("4", "enter", "right", "enter")),
    "usage-of-all": ("sysadm", ("2", "]", "]")),
    "project-groups": ("sysadm", ("2", "]")),
    "project": ("sysadm", ("2", "enter")),
    "vms-of-all": ("sysadm", ("2", "]", "]", "]", "]")),
    "configure-admins": ("sysadm", ("2", "c", "f8")),
    "drain": ("sysadm", ("4", "m")),
    "host-edit": ("sysadm", ("4", "e")),
    "host-groups": ("sysadm", ("4", "]")),
    "host-group": ("sysadm", ("4", "]", "enter")),
    "host-group-edit": ("sysadm", ("4", "]", "e")),
    "pools": ("sysadm", (":pool",)),
    "pool": ("sysadm", (":pool", "enter")),
    "add-pool": ("sysadm", (":pool", "a", "down", "left")),
    "palette": ("zhao", ("ctrl+p",)),
    "menu": ("sysadm", ("f2",)),
    "instances": ("zhao", (":instance",)),
    "instance": ("zhao", (":instance", "enter")),
    "add-instance": ("zhao", (":instance", "a")),
    "edit-instance": ("zhao", (":instance", "e")),
    "add-vm": ("zhao", ("a",)),
    "power-on": ("zhao", ("down", "down", "down", "p")),
    "tasks": ("sysadm", (":task",)),
    "own-tasks": ("zhao", (":task",)),
    "account": ("zhao", (":profile",)),
    "edit-account": ("zhao", (":profile", "e")),
    "own-password": ("zhao", (":profile", "p")),
    "user": ("sysadm", ("enter",)),
    "add-user": ("sysadm", ("a",)),
    "edit-user": ("sysadm", ("e",)),
    "user-password": ("sysadm", ("p",)),
    "delete-users": ("sysadm", ("*", "d")),
    "add-project": ("sysadm", ("2", "a")),
    "edit-project": ("sysadm", ("2", "e")),
    "add-project-group": ("sysadm", ("2", "]", "a")),
    "edit-project-group": ("sysadm", ("2", "]", "e")),
    "project-to-group": ("sysadm", ("2", "]", "p")),
    "own-usage": ("zhao", ("4",)),
    "restore": ("sysadm", (":trash", "u")),
    "trash-for-good": ("sysadm", (":trash", "d")),
    "secret": ("sysadm", ("5", "enter")),
    "image": ("zhao", ("3", "enter")),
    "add-image": ("zhao", ("3", "a")),
    "upload-image": ("zhao", ("3", "u")),
    "edit-image": ("zhao", ("3", "e")),
    "grow-volume": ("zhao", ("2", "end", "w")),
    "edit-volume": ("zhao", ("2", "e")),
    "give-volume": ("sysadm", (":volume", "o")),
    "merge-snapshot": ("zhao", ("2", "end", "m")),
    "edit-pool": ("sysadm", (":pool", "e")),
    "add-host-group": ("sysadm", (":host-group", "a")),
}
#: Forms that need rows of a state which the small cloud of the tests has not, or that are tested on their own screen.
ELSEWHERE = {
    ("volume", "accept"),
    ("host", "undrain"),
    ("cloud", "prepare"),
    ("instance", "copy"),
    ("login-log", "clear"),
}


def steps(keys: tuple[str, ...]) -> Callable[[Pilot[Any]], Any]:
    async def run(pilot: Pilot[Any]) -> None:
        app = pilot.app
        if app.context.user:
            await until(pilot, lambda: rows_are_there(app))
        for key in keys:
            if key.startswith(":"):
                app.open_resource(key[1:], root=True)
            else:
                await pilot.press(key)
            await still(pilot)
            if len(app.screen_stack) == 2 and app.screen.query("VirtualTable"):
                await until(pilot, lambda: rows_are_there(app))
        await still(pilot)
        app._watcher.close()
        for node in app.screen.query("LineInput"):
            node.cursor_blink = False

    return run


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("screen", SCREENS)
def test_screen(snap_compare: Any, screen: str, size: str, language: str) -> None:
    account, keys = SCREENS[screen]
    set_language(language)
    backend = FakeBackend()
    if screen == "marked-report":
        backend.refuse["vm.reboot"] = Refused("The VM is busy.", remedy="Try again when its task has ended.")
    app = console_over(backend, account=account)
    assert snap_compare(app, terminal_size=SIZES[size], run_before=steps(keys))


def test_every_list_and_form_has_a_picture() -> None:
    """A new list or form that nobody looked at in both sizes and languages fails here."""
    of = {key: spec for spec in registry.resources() for key in [spec.name]}
    seen: set[tuple[str, str]] = set()
    for account, keys in SCREENS.values():
        role = SYSADM if account == "sysadm" else PROJECT
        name, at = registry.menu(role)[0].resources[0], 0
        for key in keys if account else ():
            places = registry.menu(role)
            if key.startswith(":"):
                name = key[1:]
            elif key.isdigit() and int(key) <= len(places):
                name, at = places[int(key) - 1].resources[0], 0
            elif key == "]":
                place = next(one for one in places if name in one.resources)
                at += 1
                name = place.resources[at]
            else:
                found = [one.verb for one in of[name].actions if one.key == key and role in one.roles]
                seen |= {(name, verb) for verb in found}
                name = next((one.resource for one in of[name].related if one.key == key), name)
            seen.add((name, ""))
        seen.add((name, ""))
    wanted = {
        (spec.name, "") for spec in of.values() if spec.lists_by and spec.name not in ("cloud", "console-settings")
    }
    wanted |= {
        (spec.name, action.verb)
        for spec in of.values()
        for action in spec.actions
        if action.console and action.key and offered(action.fields) and action.fields
    }
    # What is done with a volume is done with a snapshot by the same form; one screen has a test of its own.
    wanted -= {(spec, verb) for spec, verb in wanted if spec == "snapshot" and verb}
    wanted -= {(spec, verb) for spec, verb in wanted if spec == "console-settings"} | ELSEWHERE
    assert wanted <= seen, sorted(wanted - seen)


@pytest.mark.parametrize("theme", ["light", "high-contrast", "16-colour", "plain"])
def test_theme(snap_compare: Any, theme: str) -> None:
    app = console_over(FakeBackend(), theme=theme)
    assert snap_compare(app, run_before=steps(("down", "space", "down")))


def test_names_that_are_only_names(snap_compare: Any) -> None:
    backend = FakeBackend()
    backend.rows["vm"] = [vm_row(n, name=name) for n, name in enumerate(NASTY)]
    assert snap_compare(console_over(backend), run_before=steps(()))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("size", SIZES)
def test_conflict(snap_compare: Any, size: str, language: str) -> None:
    set_language(language)
    backend = FakeBackend()
    backend.refuse["project.edit"] = Conflict("It was changed meanwhile.", field="version", who="mueller")

    async def run(pilot: Pilot[Any]) -> None:
        await steps(("2", "end", "e"))(pilot)
        form = pilot.app.screen.form
        form.focus_field("description")
        await pilot.pause(0.1)
        await pilot.press("home")
        await typed(pilot, "!")
        # No news of it: when the list behind it hears them is not the same in every run.
        backend.rows["project"] = [
            {**row, "description": "Web shop and its API", "version": 4} if row["name"] == "web" else row
            for row in backend.rows["project"]
        ]
        await pilot.press("ctrl+s")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 4)
        await still(pilot)

    assert snap_compare(console_over(backend, account="sysadm"), terminal_size=SIZES[size], run_before=run)


def test_first_run(snap_compare: Any) -> None:
    async def run(pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: "This cloud is empty" in screen_text(pilot.app))
        await shows(pilot, "Directory for images", "enter")
        await typed(pilot, "acme")
        for node in pilot.app.screen.query("LineInput"):
            node.cursor_blink = False
        await still(pilot)
        pilot.app._watcher.close()

    assert snap_compare(console_over(FakeBackend(empty=True), account="sysadm"), run_before=run)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("keys", [(), ("e",)], ids=["shown", "form"])
def test_console_parameters(
    snap_compare: Any, monkeypatch: pytest.MonkeyPatch, keys: tuple[str, ...], size: str, language: str
) -> None:
    monkeypatch.setenv("DOSVM_HOME", "/no/such/place")

    async def run(pilot: Pilot[Any]) -> None:
        pilot.app.open_resource("console-settings", root=True)
        await until(pilot, lambda: "/no/such/place" in screen_text(pilot.app))
        await pilot.press(*keys)
        await still(pilot)
        pilot.app._watcher.close()
        for node in pilot.app.screen.query("LineInput"):
            node.cursor_blink = False

    set_language(language)
    app = console_over(FakeBackend(), account="sysadm")
    assert snap_compare(app, terminal_size=SIZES[size], run_before=run)
