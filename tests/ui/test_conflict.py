"""Two people edit one object at the same time: whatever is typed, nothing is overwritten that nobody looked at."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Conflict, NotFound
from screens.generic.differences import differences, kept, same
from screens.generic.fields import sent
from screens.resources.instance_fields import CHANGED
from screens.spec import Field, Kind
from tests.fakes.backend import FakeBackend
from tests.ui.conftest import notices, opened, screen_text, shows, table, typed, until

KEYS = ("a", "b", "c", "d")
FIELDS = [Field(key, key.upper()) for key in KEYS]
_values = st.fixed_dictionaries({key: st.sampled_from(("", None, "one", "two", "three")) for key in KEYS})


@given(
    _values,
    _values,
    st.dictionaries(st.sampled_from(KEYS), st.sampled_from(("mine", "two", "")), max_size=4),
    st.sets(st.sampled_from(KEYS)),
)
def test_what_comes_of_two_edits_is_what_was_decided(
    before: dict[str, Any], theirs: dict[str, Any], mine: dict[str, Any], chosen: set[str]
) -> None:
    """Applied to theirs, what is sent gives: mine where I alone changed it or chose mine, theirs everywhere else."""
    found = differences(FIELDS, before, theirs, mine)
    stays = kept(found, mine, chosen)
    changed = {key for key, value in stays.items() if not same(value, theirs[key])}
    after = {**theirs, **sent(FIELDS, stays, changed, only_changed=True)}
    asked_about = {one.field.key for one in found}
    for key in KEYS:
        if same(before[key], theirs[key]) or (key in asked_about and key in chosen):
            expected = mine.get(key, before[key])
        else:
            expected = theirs[key]
        assert same(after[key], expected)


@given(_values, _values, st.dictionaries(st.sampled_from(KEYS), st.sampled_from(("mine", "two")), max_size=4))
def test_every_change_of_theirs_is_shown_unless_it_is_mine_too(
    before: dict[str, Any], theirs: dict[str, Any], mine: dict[str, Any]
) -> None:
    asked = {one.field.key for one in differences(FIELDS, before, theirs, mine)}
    for key in KEYS:
        agreed = key in mine and same(mine[key], theirs[key])
        assert (key in asked) == (not same(before[key], theirs[key]) and not agreed)


_HAND = {"who": "mueller", "at": "2026-12-01T05:00:00"}


def test_a_secret_is_not_compared_but_asked_about_where_both_changed_it() -> None:
    secret = [Field("password", "Password", Kind.SECRET)]
    nothing: dict[str, Any] = {}
    mine = {"password": "c"}
    assert differences(secret, nothing, nothing, mine, {"description": _HAND}) == []
    assert differences(secret, nothing, nothing, nothing, {"password": _HAND}) == []
    assert differences(secret, nothing, nothing, {"password": None}, {"password": _HAND}) == []
    # Where the log does not reach so far back, it may have been changed.
    for changed, said in (({"password": _HAND}, "changed by mueller"), (None, "perhaps changed")):
        (one,) = differences(secret, nothing, nothing, mine, changed)
        assert {one.said(value) for value in (one.before, one.mine)} == {"****"}
        assert one.said_theirs.startswith(said)
        assert kept([one], mine, ()) == {}
        assert kept([one], mine, {"password"}) == mine


_VNC, _SPICE = {"type": "vnc", "password": ""}, {"type": "spice", "password": ""}


@pytest.mark.parametrize(
    ("mine", "asked"),
    [
        ([{**_VNC, "password": "mine"}, _SPICE], True),
        ([{**_VNC, "clear_password": True}, _SPICE], True),
        ([_SPICE], True),
        ([{**_VNC, "port": 5901}, _SPICE], False),
        ([_VNC, {**_SPICE, "password": "mine"}], False),
        ([_VNC], False),
    ],
    ids=["set", "removed", "row-removed", "left-alone", "of-another-row", "other-row-removed"],
)
def test_a_secret_in_a_row_is_asked_about_when_both_changed_it(mine: list[dict[str, Any]], asked: bool) -> None:
    graphics = next(field for field in CHANGED if field.key == "graphics")
    row = {"graphics": [_VNC, _SPICE]}
    found = differences([graphics], row, row, {"graphics": mine}, {"graphics.vnc.password": _HAND})
    assert bool(found) == asked
    assert all("VNC Password: changed by mueller" in one.said_theirs for one in found)


# -- at the console


def _faster(cloud: FakeBackend, **theirs: Any) -> None:
    """Somebody changes the project between the look and the save."""
    row = next(row for row in cloud.rows["project"] if row["name"] == "web")

    def edit(project: str, version: int = 0, **changes: Any) -> Any:
        present = next(row for row in cloud.rows["project"] if row["name"] == "web")
        if version != present["version"]:
            raise Conflict("{who} changed {what} meanwhile.", field="version", who="mueller", what="description")
        cloud.change("project", "web", **changes, version=present["version"] + 1)
        return dict(present)

    cloud.answers["project.edit"] = edit
    cloud.change("project", "web", **theirs, version=row["version"] + 1)


async def _edit_web(pilot: Any, text: str) -> Any:
    await shows(pilot, "Web shop", "2")
    await shows(pilot, "Edit: web", "end", "e")
    form = pilot.app.screen.form
    form.focus_field("description")
    await pilot.pause(0.05)
    await typed(pilot, text)
    return form


def _web(cloud: FakeBackend) -> dict[str, Any]:
    return next(row for row in cloud.rows["project"] if row["uuid"] == _UUID)


_UUID = next(row["uuid"] for row in FakeBackend().rows["project"] if row["name"] == "web")


@pytest.mark.ui
async def test_the_second_sees_what_the_first_changed_and_takes_mine(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await _edit_web(pilot, "!")
        _faster(cloud, description="Theirs")
        await shows(pilot, "mueller changed this while you had it open", "ctrl+s")
        text = screen_text(pilot.app)
        assert "Description" in text
        assert "Theirs" in text
        assert "Web shop!" in text or "!Web shop" in text
        assert _web(cloud)["description"] == "Theirs", "nothing is overwritten unasked"
        await pilot.press("space", "ctrl+s")
        await until(pilot, lambda: "!" in _web(cloud)["description"])
        assert "Edit: web: done." in " ".join(notices(pilot)) or "done." in " ".join(notices(pilot))


@pytest.mark.ui
async def test_theirs_stays_when_one_says_so_and_nothing_is_sent(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await _edit_web(pilot, "!")
        _faster(cloud, description="Theirs")
        await shows(pilot, "Changed meanwhile", "ctrl+s")
        calls = len(cloud.called("project.edit"))
        await pilot.press("space", "space", "ctrl+s")
        await until(pilot, lambda: "Nothing of yours is left to be saved." in notices(pilot))
        assert len(cloud.called("project.edit")) == calls
        assert len(pilot.app.screen_stack) == 2
        assert _web(cloud)["description"] == "Theirs"


@pytest.mark.ui
async def test_who_presses_save_twice_loses_nothing(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        form = await _edit_web(pilot, "!")
        _faster(cloud, description="Theirs")
        await shows(pilot, "Changed meanwhile", "ctrl+s")
        assert "?" in screen_text(pilot.app)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "Not saved: say first whose it shall be" in screen_text(pilot.app))
        assert "Changed meanwhile" in screen_text(pilot.app)
        assert _web(cloud)["description"] == "Theirs"
        await pilot.click("#back")
        await until(pilot, lambda: "Changed meanwhile" not in screen_text(pilot.app))
        assert "!" in form.rows["description"].input.get(), "what was typed is still there"


@pytest.mark.ui
async def test_back_in_the_form_one_goes_on_from_theirs(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        form = await _edit_web(pilot, "!")
        _faster(cloud, description="Theirs")
        await shows(pilot, "Changed meanwhile", "ctrl+s")
        await pilot.press("space", "space")
        await pilot.click("#back")
        await until(pilot, lambda: form.rows["description"].input.get() == "Theirs")
        form.focus_field("description")
        await pilot.pause(0.05)
        await pilot.press("ctrl+end", "?", "ctrl+s")
        await until(pilot, lambda: _web(cloud)["description"] in ("Theirs?", "?Theirs"))


@pytest.mark.ui
async def test_esc_goes_back_to_the_form_as_it_was(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        form = await _edit_web(pilot, "!")
        _faster(cloud, description="Theirs")
        await shows(pilot, "Changed meanwhile", "ctrl+s")
        await pilot.press("escape")
        await pilot.pause(0.1)
        assert "!" in form.rows["description"].input.get()
        await shows(pilot, "Changed meanwhile", "ctrl+s")


@pytest.mark.ui
async def test_what_the_form_does_not_show_is_no_reason_to_ask(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await _edit_web(pilot, "!")
        _faster(cloud, max_vcpus=7)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "!" in _web(cloud)["description"])
        assert _web(cloud)["max_vcpus"] == 7


@pytest.mark.ui
async def test_what_was_deleted_meanwhile_is_said_in_the_form(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        form = await _edit_web(pilot, "!")
        _faster(cloud, description="Theirs")
        cloud.refuse["project.show"] = NotFound("There is no {kind} {name}.", kind="project", name="web")
        await shows(pilot, "There is no project web.", "ctrl+s")
        assert "!" in form.rows["description"].input.get()


@pytest.mark.ui
async def test_all_mine_and_all_theirs_are_one_press(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await _edit_web(pilot, "!")
        _faster(cloud, description="Theirs")
        await shows(pilot, "Changed meanwhile", "ctrl+s")
        await pilot.click("#mine")
        await pilot.pause(0.1)
        assert len(table(pilot).marked) == table(pilot).total
        await pilot.click("#theirs")
        await pilot.pause(0.1)
        assert not table(pilot).marked


SECRET_MINE = "Mine-of-the-secret"


async def _edit_secret_after_others(pilot: Any, cloud: FakeBackend, changed: Any) -> Any:
    """Type another password for a secret while somebody else gives it one; then send it."""

    def edit(secret: str, version: int = 0, **changes: Any) -> Any:
        present = next(row for row in cloud.rows["secret"] if row["name"] == "disk-key")
        if version != present["version"]:
            raise Conflict("{who} changed it meanwhile.", field="version", who="mueller", changed=changed)
        saved.append(changes)
        return dict(present)

    saved: list[dict[str, Any]] = []
    cloud.answers["secret.edit"] = edit
    await shows(pilot, "disk-key", "5")
    await shows(pilot, "Edit: disk-key", "e")
    pilot.app.screen.form.focus_field("value")
    await pilot.pause(0.05)
    await typed(pilot, SECRET_MINE)
    await pilot.press("tab")
    await typed(pilot, SECRET_MINE)
    row = next(row for row in cloud.rows["secret"] if row["name"] == "disk-key")
    cloud.change("secret", "disk-key", version=row["version"] + 1)
    await pilot.press("ctrl+s")
    return saved


@pytest.mark.ui
@pytest.mark.parametrize("changed", [{"value": _HAND}, None])
async def test_a_secret_that_both_changed_is_never_overwritten_in_silence(cloud: FakeBackend, changed: Any) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        saved = await _edit_secret_after_others(pilot, cloud, changed)
        await until(pilot, lambda: "Changed meanwhile" in screen_text(pilot.app))
        assert saved == []
        assert SECRET_MINE not in screen_text(pilot.app)
        assert ("changed by mueller" if changed else "perhaps changed") in screen_text(pilot.app)
        await pilot.press("space", "ctrl+s")
        await until(pilot, lambda: saved == [{"value": SECRET_MINE}])


@pytest.mark.ui
async def test_theirs_of_a_secret_stays_and_mine_is_typed_away(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        saved = await _edit_secret_after_others(pilot, cloud, {"value": _HAND})
        await until(pilot, lambda: "Changed meanwhile" in screen_text(pilot.app))
        await pilot.press("space", "space", "ctrl+s")
        await until(pilot, lambda: "Nothing of yours is left to be saved." in notices(pilot))
        assert saved == []


@pytest.mark.ui
async def test_who_changes_another_field_does_not_ask_about_a_secret(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        saved = await _edit_secret_after_others(pilot, cloud, {"usage": _HAND})
        await until(pilot, lambda: saved == [{"value": SECRET_MINE}])
