"""Everything can be reached on a terminal of 60 by 20, in both languages."""

from __future__ import annotations

import pytest

from core.i18n import LANGUAGES, set_language
from screens import registry
from screens.generic.fields import offered
from screens.generic.form_dialog import FormDialog
from tests.e2e.terminal import Terminal
from tests.fakes.backend import FakeBackend
from tests.ui.conftest import form_of, opened, screen_text, shows, still, until
from widgets.paragraph import Paragraph

pytestmark = [pytest.mark.ui, pytest.mark.timeout(300)]

FORMS = [
    (spec.name, action)
    for spec in (registry.resource(name) for name in registry.NAMES)
    for action in spec.actions
    if offered(action.fields) and action.console
]


@pytest.mark.parametrize("language", ["en", "zh_CN"])
async def test_the_buttons_of_every_form_are_on_the_screen(cloud: FakeBackend, language: str) -> None:
    async with opened(cloud, size=(60, 20)) as pilot:
        set_language(language)
        for resource, action in FORMS:
            form = FormDialog(
                pilot.app.context,
                lambda resource=resource: resource,
                action.fields,
                None,
                warning=(lambda: "x" * 200) if action.warning else None,
                type_name="name" if action.warning else "",
            )
            pilot.app.show(form)
            await until(pilot, lambda form=form: bool(form.query("#send")) and form.query_one("#send").region.width)
            for button in ("#leave", "#send"):
                region = form.query_one(button).region
                assert pilot.app.screen.region.contains_region(region), (resource, action.verb, button, region)
                assert region.height == 1, (resource, action.verb, button)
            form.dismiss(None)
            await until(pilot, lambda form=form: form not in pilot.app.screen_stack)


async def test_every_field_of_a_long_form_is_reached_by_the_arrows(cloud: FakeBackend) -> None:
    async with opened(cloud, size=(60, 20)) as pilot:
        await shows(pilot, "Boot menu", "]", "a")
        form = pilot.app.screen.form
        rows = [row for row in form.rows.values() if row.display]
        for row in rows:
            row.input.focus()
            await pilot.pause()
            assert pilot.app.screen.region.contains_region(row.region), row.field.label


async def test_f1_in_a_form_says_what_its_fields_are_for(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "Format", "3", "a")
        await shows(pilot, "Help: Add: image", "x", "f1")
        shown = " ".join(screen_text(pilot.app).replace("│", " ").split())
        assert "Needed. 1 to 64 characters of any script." in shown
        assert "(raw (also ISO files) / ISO: a CD or DVD, checked to be one / qcow2 / qcow)" in shown
        await pilot.press("escape")
        await until(pilot, lambda: "Help:" not in screen_text(pilot.app))
        assert pilot.app.screen.form.rows["name"].input.value == "x"


async def test_a_disk_without_a_source_is_told_where_it_is_typed(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "Take over", "]", "a", "f8", "a")
        await shows(pilot, "name one of them", "ctrl+s")
        assert "Take over" in screen_text(pilot.app)


async def test_a_section_says_how_many_lists_it_has_where_they_are_not_shown_beside(cloud: FakeBackend) -> None:
    for width, said in ((80, True), (160, False)):
        async with opened(cloud, size=(width, 24)) as pilot:
            assert ("[1 Machines 1/3]" in screen_text(pilot.app)) is said
            await shows(pilot, "Instances", "]")
            assert ("[1 Machines 2/3]" in screen_text(pilot.app)) is said


@pytest.mark.parametrize("code", list(LANGUAGES))
@pytest.mark.parametrize("account", ["zhao", "sysadm"])
async def test_no_section_of_the_menu_is_cut_at_80_columns(cloud: FakeBackend, account: str, code: str) -> None:
    set_language(code)
    async with opened(cloud, account=account) as pilot:
        for number, _section in enumerate(pilot.app._front.sections, 1):
            await pilot.press(str(number))
            await until(pilot, lambda number=number: f"[{number} " in screen_text(pilot.app))  # type: ignore[misc]
            menu = screen_text(pilot.app).splitlines()[0]
            assert "…" not in menu, menu
            assert menu.rstrip().endswith(("zhao@web", "sysadm"))


async def test_what_a_form_says_of_its_first_field_stays_when_the_focus_goes_on_to_no(cloud: FakeBackend) -> None:
    """The focus has gone on before anybody was told that the field had it: a busy machine is that slow."""
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "Web shop", "2")
        form = await form_of(pilot, "home", "d")
        await still(pilot)
        screen = pilot.app.screen
        screen.query_one("#hint", Paragraph).set("")
        next(iter(form.rows.values())).input.focus()
        screen.query_one("#leave").focus()
        await shows(pilot, "Its VMs are stopped.")


@pytest.mark.parametrize("terminal", [(40, 10)], indirect=True)
def test_a_console_that_begins_in_a_window_that_is_too_small_says_so(terminal: Terminal) -> None:
    terminal.wait_for("The window is too small", 60)
    terminal.resize(80, 24)
    terminal.wait_for("web-front-05")
