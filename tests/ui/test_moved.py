"""A project's admin is given another project, or the project another name, while a console is open."""

from __future__ import annotations

import pytest

from tests.fakes.backend import FakeBackend
from tests.ui.conftest import form_of, notices, opened, screen_text, shows, until

pytestmark = pytest.mark.ui


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for the time that news have to rest."""
    monkeypatch.setattr("dosvm_tui.reach.OWN_AFTER", 0.0)


def _put(cloud: FakeBackend, project: str) -> None:
    """Give zhao another project, as the system administrator does elsewhere; the console has news of it."""
    cloud.change("user", "zhao", project=project)


async def test_who_is_given_another_project_is_told_and_sees_nothing_of_the_old_one(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        assert "zhao@web" in screen_text(pilot.app)
        await shows(pilot, "公司网站", "]")
        # What is typed here would be done in the other project.
        await form_of(pilot, "a")
        _put(cloud, "mail")
        await until(pilot, lambda: "zhao@mail" in screen_text(pilot.app))
        assert "You manage project mail now: all lists are that project's, and what was open is closed." in notices(
            pilot
        )
        assert len(pilot.app.screen_stack) == 2
        assert not pilot.app.screen.query("Form")
        assert pilot.app.context.user["project"] == "mail"


async def test_who_has_no_project_any_more_is_told(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        _put(cloud, "")
        await until(pilot, lambda: "zhao@web" not in screen_text(pilot.app))
        await until(pilot, lambda: "You manage no project any more: what was open is closed." in notices(pilot))
        _put(cloud, "mail")
        await until(pilot, lambda: "zhao@mail" in screen_text(pilot.app))
        assert any("You manage project mail now" in text for text in notices(pilot))


async def test_another_name_of_the_project_is_said_and_what_is_open_stays(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "公司网站", "]")
        form = await form_of(pilot, "a")
        form.rows["name"].input.value = "typed"
        for resource, name, values in (("project", "web", {"name": "shop"}), ("user", "zhao", {"project": "shop"})):
            cloud.rows[resource] = [{**r, **values} if r["name"] == name else r for r in cloud.rows[resource]]
        cloud.ring()
        await until(pilot, lambda: "Your project web is called shop now." in notices(pilot))
        assert pilot.app.screen.query("Form")
        assert form.rows["name"].input.get() == "typed"
        await shows(pilot, "zhao@shop", "escape", "y")


async def test_the_system_administrator_is_not_asked_for(cloud: FakeBackend) -> None:
    """Whose project never changes costs no question at each news."""
    async with opened(cloud, account="sysadm") as pilot:
        cloud.ring()
        await shows(pilot, "Web shop", "2")
        await until(pilot, lambda: pilot.app._own_due is None)
        assert cloud.called("profile.show") == []
