"""What comes late, twice, or when one has gone on already: nothing is lost, closed or shown that should not be."""

from __future__ import annotations

import threading
from io import StringIO
from typing import Any

import pytest
from rich.console import Console as Terminal
from textual._compositor import LayoutUpdate
from textual.pilot import Pilot

from core.errors import HostdUnavailable, Refused
from dosvm_tui.settings import Settings
from dosvm_tui.watcher import News
from screens.generic.confirm import Confirm
from screens.generic.form_dialog import FormDialog
from screens.generic.list_view import view_of
from screens.registry import resource
from screens.spec import Field
from tests.fakes.backend import FakeBackend
from tests.ui.conftest import form_of, notices, opened, rows_are_there, screen_text, shows, table, typed, until
from widgets.sparing import Seen, SparingUpdate

pytestmark = pytest.mark.ui


def held(cloud: FakeBackend, operation: str, error: Exception | None = None) -> threading.Event:
    """Hold the answers of an operation back until the event is set."""
    go = threading.Event()

    def answer(**arguments: Any) -> Any:
        assert go.wait(20)
        if error is not None:
            raise error
        return cloud._answer(operation, arguments)

    cloud.answers[operation] = answer
    return go


async def send_new_vm(pilot: Pilot[Any]) -> None:
    """Fill the form of a new VM, and send it."""
    await form_of(pilot, "a")
    await typed(pilot, "new-one")
    pilot.app.screen.form.rows["instance"].input.put("web-front")  # type: ignore[attr-defined]
    await pilot.press("ctrl+s")


# -- dialogs whose answer comes while something lies above them


async def test_leaving_a_form_that_is_sent_says_so_and_its_answer_closes_it(cloud: FakeBackend) -> None:
    go = held(cloud, "vm.add")
    async with opened(cloud) as pilot:
        await send_new_vm(pilot)
        await shows(pilot, "This is sent already, and not answered yet.", "escape")
        go.set()
        await until(pilot, lambda: len(pilot.app.screen_stack) == 2)
        await until(pilot, lambda: any("new-one: done" in text for text in notices(pilot)))


async def test_a_form_that_is_refused_while_one_wants_to_leave_it_keeps_what_was_typed(cloud: FakeBackend) -> None:
    go = held(cloud, "vm.add", Refused("The quota is used up."))
    async with opened(cloud) as pilot:
        await send_new_vm(pilot)
        await shows(pilot, "not answered yet", "escape")
        go.set()
        await until(pilot, lambda: "The quota is used up." in screen_text(pilot.app))
        assert "not answered yet" not in screen_text(pilot.app)
        await shows(pilot, "Throw it away?", "escape")


async def test_an_answer_waits_for_who_has_to_log_in_again_above_the_form(cloud: FakeBackend) -> None:
    go = held(cloud, "vm.add")
    async with opened(cloud) as pilot:
        await send_new_vm(pilot)
        cloud.session = False
        await until(pilot, lambda: "Log in again" in screen_text(pilot.app))
        cloud.session = True
        go.set()
        await pilot.pause(0.3)
        assert "Log in again" in screen_text(pilot.app)
        await typed(pilot, "Zha0-secret-9")
        await pilot.press("enter")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 2 and rows_are_there(pilot.app))


async def test_a_report_that_ends_under_the_question_whether_to_leave_closes(cloud: FakeBackend) -> None:
    go = held(cloud, "vm.suspend")
    async with opened(cloud) as pilot:
        await shows(pilot, "of 2 done", "space", "space", "z")
        await shows(pilot, "Leave the console", "ctrl+q")
        go.set()
        await until(pilot, lambda: len(pilot.app.context.tasks.running) == 2)
        for task in list(cloud.tasks):
            cloud.end_task(task)
        await until(pilot, lambda: len(pilot.app.screen_stack) == 2)
        assert not table(pilot).marked


async def test_a_button_pressed_twice_at_once_answers_once(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("enter")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 3)
        await shows(pilot, "> No <", "b")
        button = pilot.app.screen.query_one("#yes")
        button.press()  # type: ignore[attr-defined]
        button.press()  # type: ignore[attr-defined]
        await until(pilot, lambda: cloud.called("vm.reboot"))
        await pilot.pause(0.2)
        assert len(cloud.called("vm.reboot")) == 1
        assert len(pilot.app.screen_stack) == 3, "the details are still open"


async def test_a_key_pressed_twice_opens_one_form(cloud: FakeBackend) -> None:
    go = held(cloud, "project.show")
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "Web shop", "2")
        await pilot.press("end", "e", "e")
        go.set()
        await until(pilot, lambda: len(cloud.called("project.show")) == 2 and len(pilot.app.screen_stack) == 3)
        await pilot.pause(0.2)
        assert len(pilot.app.screen_stack) == 3


async def test_a_form_that_comes_late_does_not_open_over_what_was_opened_meanwhile(cloud: FakeBackend) -> None:
    go = held(cloud, "project.show")
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "Web shop", "2")
        await shows(pilot, "All keys", "end", "e", "?")
        go.set()
        await pilot.pause(0.3)
        assert not pilot.app.screen.query("Form")


# -- going on before the answer


async def test_who_goes_on_is_told_of_a_refusal(cloud: FakeBackend) -> None:
    go = held(cloud, "vm.suspend", Refused("The VM is busy."))
    async with opened(cloud) as pilot:
        await shows(pilot, "disk6", "z", "2")
        go.set()
        await until(pilot, lambda: "The VM is busy." in notices(pilot))


async def test_who_goes_on_can_follow_the_task(cloud: FakeBackend) -> None:
    go = held(cloud, "vm.suspend")
    async with opened(cloud) as pilot:
        await shows(pilot, "disk6", "z", "2")
        go.set()
        await until(pilot, lambda: "1 task" in screen_text(pilot.app))


async def test_who_logs_in_next_is_not_told_what_the_one_before_had_asked(cloud: FakeBackend) -> None:
    go = held(cloud, "vm.suspend")
    async with opened(cloud) as pilot:
        await shows(pilot, "Log in with your account.", "z", "f10")
        go.set()
        await pilot.pause(0.3)
        assert not pilot.app.context.tasks.all
        assert not notices(pilot)


async def test_the_helper_for_an_empty_cloud_is_not_offered_to_nobody(cloud: FakeBackend) -> None:
    cloud.empty = True
    go = held(cloud, "cloud.status")
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "Log in with your account.", "f10")
        go.set()
        await pilot.pause(0.3)
        assert len(pilot.app.screen_stack) == 2


async def test_who_comes_after_an_ended_session_sees_no_tasks_and_pastes_nothing_of_the_one_before(
    cloud: FakeBackend,
) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("down", "down", "down", "p", "enter")
        await until(pilot, lambda: cloud.called("vm.start") and "1 task" in screen_text(pilot.app))
        pilot.app.copy_to_clipboard("of zhao")
        cloud.session = False
        await until(pilot, lambda: "Log in again" in screen_text(pilot.app))
        pilot.app.screen.query_one("Form").rows["account"].input.put("sysadm")  # type: ignore[attr-defined]
        await typed(pilot, "Adm1n-secret-9")
        await shows(pilot, "赵小明", "enter")
        await shows(pilot, "No task was started here yet.", "f3")
        assert not pilot.app.clipboard


async def test_news_of_tasks_while_the_tray_opens(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        pilot.app.action_tasks()  # type: ignore[attr-defined]
        pilot.app.on_news(News(True, [{"uuid": "x", "state": "done"}]))  # type: ignore[attr-defined]
        await until(pilot, lambda: "No task was started here yet." in screen_text(pilot.app))


async def test_a_list_to_pick_from_comes_when_the_cloud_is_back(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await form_of(pilot, "a")
        cloud.away = HostdUnavailable("/run/hostd.sock")
        await shows(pilot, "hostd does not answer", "tab", "f4")
        cloud.away = None
        await until(pilot, lambda: rows_are_there(pilot.app) and table(pilot).total == 2, 20)
        assert "hostd does not answer" not in screen_text(pilot.app)
        assert "Enter takes the row" in screen_text(pilot.app)


# -- what may not reach the terminal, the clipboard, or stop the console

EVIL = "bad \x1b]52;c;aGk=\x07\x9b2J \u202eend"


async def test_a_task_whose_error_holds_escape_sequences_sends_none_to_the_terminal(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("down", "down", "down", "p", "enter")
        await until(pilot, lambda: cloud.called("vm.start"))
        (task,) = cloud.tasks
        cloud.end_task(task, error={"code": "engine", "message": EVIL, "parameters": {}})
        await until(pilot, lambda: "52;c;aGk=" in screen_text(pilot.app))
        assert not set(screen_text(pilot.app)) & {"\x1b", "\x07", "\x9b", "\u202e"}


async def test_what_is_edited_sends_no_escape_sequence_to_the_terminal(cloud: FakeBackend) -> None:
    cloud.rows["project"] = [{**row, "description": EVIL} for row in cloud.rows["project"]]
    async with opened(cloud, account="sysadm") as pilot:
        await pilot.press("2")
        await until(pilot, lambda: rows_are_there(pilot.app))
        await pilot.press("end", "e")
        await until(pilot, lambda: bool(pilot.app.screen.query("Form")) and "52;c;aGk=" in screen_text(pilot.app))
        strips = pilot.app.screen._compositor.render_strips()
        update = LayoutUpdate([[strip] for strip in strips], pilot.app.screen.region)
        written = SparingUpdate(Seen(), update, 80, 24).render_segments(Terminal(file=StringIO(), color_system=None))
        assert "52;c;aGk=" in written
        assert "\x1b]" not in written
        assert not set(written) & {"\x07", "\x9b", "\u202e"}


@pytest.mark.parametrize("key", ["ctrl+c", "ctrl+x"])
async def test_a_password_is_not_copied_in_plain_text(cloud: FakeBackend, key: str) -> None:
    async with opened(cloud, account=None) as pilot:
        await typed(pilot, "zhao")
        await pilot.press("tab")
        await typed(pilot, "Zha0-secret-9")
        await pilot.press("home", "shift+end", key)
        await pilot.pause(0.1)
        assert not pilot.app.clipboard


async def test_a_file_name_that_is_too_long_is_refused_in_words(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        form = await form_of(pilot, "x")
        form.rows["file"].input.put("x" * 300)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: any("File name too long" in text for text in notices(pilot)))


def test_preferences_of_any_shape_do_not_keep_anybody_out() -> None:
    settings = Settings()
    settings.load("zhao", {"theme": [], "language": {}, "lists": {"vm": {"columns": [["name"], "name"], "sort": []}}})
    assert not settings.theme
    assert view_of(settings, resource("vm"), "project").columns == ("name",)


async def test_every_letter_typed_over_a_list_to_pick_from_searches_it(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await form_of(pilot, "a")
        await pilot.press("tab", "f4")
        await until(pilot, lambda: rows_are_there(pilot.app) and table(pilot).total == 2)
        await typed(pilot, "gjkG")
        await until(pilot, lambda: pilot.app.screen.query_one("#search").value == "gjkG")  # type: ignore[attr-defined]


# -- what is longer than the terminal


async def test_a_long_warning_is_scrolled_and_leaves_room_for_the_answer(cloud: FakeBackend) -> None:
    def text() -> str:
        return "\n".join(f"Line {number} of what happens." for number in range(40))

    async with opened(cloud) as pilot:
        context = pilot.app.context  # type: ignore[attr-defined]
        question = Confirm(context, lambda: "Delete", text, lambda: "Yes", type_name="web")
        form = FormDialog(context, lambda: "Empty", [Field("a", "How")], None, warning=text, type_name="web")
        for dialog in (question, form):
            pilot.app.push_screen(dialog)
            await until(pilot, lambda: "Line 0 of" in screen_text(pilot.app))
            assert "Type web to confirm:" in screen_text(pilot.app)
            assert "[ No ]" in screen_text(pilot.app).replace("> No <", "[ No ]")
            await shows(pilot, "Line 39 of", *["pagedown"] * 8)
            pilot.app.pop_screen()


async def test_a_form_longer_than_the_terminal_keeps_its_hint_and_buttons(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "公司网站", "]")
        form = await form_of(pilot, "a")
        form.focus_field("devices_xml")
        await until(pilot, lambda: "[Custom]" in screen_text(pilot.app))
        text = screen_text(pilot.app)
        assert "Devices XML" in text
        assert "libvirt's XML within <devices>" in text
        assert "[ Cancel ] [ Add ]" in text
        # And what is wrong with a text of many lines is seen, not below what is seen.
        pilot.app.screen.form.set_error("devices_xml", "Not allowed here: <hostdev>.")  # type: ignore[attr-defined]
        await until(pilot, lambda: "Not allowed here: <hostdev>." in screen_text(pilot.app))


# -- secrets, and names that change


async def test_a_screens_password_is_not_shown_and_stays_when_its_row_is_opened_again(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "公司网站", "]")
        await form_of(pilot, "a")
        outer = pilot.app.screen
        outer.form.focus_field("graphics")  # type: ignore[attr-defined]
        await pilot.pause(0.05)
        # The one it begins with is taken out.
        form = await form_of(pilot, "d", "a")
        form.rows["password"].input.value = "geheim77"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: pilot.app.screen is outer and "VNC  Password" in screen_text(pilot.app))
        assert "geheim" not in screen_text(pilot.app)
        form = await form_of(pilot, "up", "enter")
        form.rows["port"].input.value = "5901"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: pilot.app.screen is outer)
        (row,) = outer.form.values()["graphics"]  # type: ignore[attr-defined]
        assert (row["port"], row["password"]) == (5901, "geheim77")


async def test_a_row_opened_again_says_what_it_was_left_at_and_tab_sends_first(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "公司网站", "]")
        await form_of(pilot, "a")
        outer = pilot.app.screen
        outer.form.focus_field("disks")  # type: ignore[attr-defined]
        await pilot.pause(0.05)
        form = await form_of(pilot, "a")
        form.rows["volume"].input.value = "local/disk1"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: pilot.app.screen is outer and "local/disk1" in screen_text(pilot.app))
        await form_of(pilot, "up", "enter")
        assert "what fits the machine type" in screen_text(pilot.app)
        rows = pilot.app.screen.form.rows  # type: ignore[attr-defined]
        assert rows["startup_policy"].input.get() == "mandatory", "of a CD, should it become one"
        [row for row in rows.values() if row.display][-1].input.focus()
        await shows(pilot, "> Take over <", "tab")
        await shows(pilot, "> Cancel <", "tab")


async def test_what_is_renamed_in_its_details_is_still_there(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "all", "4", "]")
        await pilot.press("enter")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 3)
        form = await form_of(pilot, "e")
        form.rows["name"].input.value = "renamed"
        await pilot.press("ctrl+s")
        await until(
            pilot, lambda: len(pilot.app.screen_stack) == 3 and "Host groups › renamed" in screen_text(pilot.app)
        )
        assert "not exist" not in screen_text(pilot.app)


async def test_news_during_a_look_are_looked_at(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        seldom = resource("vm")._replace(interval=600.0)
        pilot.app.open_row(seldom, cloud.rows["vm"][0])  # type: ignore[attr-defined]
        await until(pilot, lambda: len(pilot.app.screen_stack) == 3 and "running" in screen_text(pilot.app))
        await pilot.pause(0.3)
        old = dict(cloud.rows["vm"][0])
        go, asked = threading.Event(), threading.Event()

        def answer(vm: str) -> Any:
            if not asked.is_set():
                asked.set()
                assert go.wait(20)
                return old
            return dict(cloud.rows["vm"][0])

        cloud.answers["vm.show"] = answer
        pilot.app.screen.look_again()  # type: ignore[attr-defined]
        await until(pilot, asked.is_set)
        cloud.change("vm", "web-front-01", state="paused")
        await pilot.pause(0.3)
        go.set()
        await until(pilot, lambda: "paused" in screen_text(pilot.app), 3)


async def test_the_helper_keeps_no_password_once_it_is_sent(cloud: FakeBackend) -> None:
    cloud.empty = True
    async with opened(cloud, account="sysadm") as pilot:
        await until(pilot, lambda: "This cloud is empty" in screen_text(pilot.app))
        form = await form_of(pilot, "enter")
        form.rows["own_password"].input.value = "Adm1n-secret-9"
        form.rows["new_password"].input.first.value = "Proj3ct-secret"
        form.rows["new_password"].input.second.value = "Proj3ct-secret"
        await shows(pilot, "This machine is a cloud now", "ctrl+s")
        assert "secret" not in str(vars(pilot.app.screen))


async def test_the_palette_offers_objects_and_not_each_row_of_a_hosts_history(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await pilot.press("ctrl+p")
        await typed(pilot, "server185")
        await until(
            pilot, lambda: cloud.called("host.list") and any(a.get("search") for a in cloud.called("host.list"))
        )
        await pilot.pause(0.3)
        assert not cloud.called("host-history.list")
