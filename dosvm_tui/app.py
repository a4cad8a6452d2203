"""The console: puts screens, settings and the way to hostd together; decides nothing about the cloud."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from core.clock import Clock, SystemClock
from core.errors import DosvmError, label_fields_by
from core.i18n import LANGUAGES, N_, _, language, ngettext, set_language
from dosvm_tui.faults import crash_sentence
from dosvm_tui.hangup import Hangup
from dosvm_tui.reach import Reach
from dosvm_tui.settings import Settings, settings_path
from dosvm_tui.watcher import Watcher
from screens import registry
from screens.base import BaseDialog
from screens.context import Context, SessionBackend
from screens.courier import Answered
from screens.taskbook import TaskBook
from themes import THEMES, TITLES, is_plain, theme_for_terminal
from widgets.glyphs import use_plain

#: Seconds after which what is there at the beginning counts as there to stay.
SETTLED = 1.5
#: Seconds after a choice of colours, columns and the like until the cloud is told.
KEEP_AFTER = 1.0
#: Seconds that leaving waits at most for hostd to hear of it.
LAST_WORDS = 2.0


class Console(Reach):
    """The application. Implements :class:`screens.context.Desk`."""

    TITLE = "DOSVM"
    CSS_PATH: ClassVar[Path] = Path(__file__).parent.parent / "themes" / "console.tcss"
    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = None
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "leave", priority=True, show=False),
        Binding("ctrl+p", "palette", priority=True, show=False),
        Binding("ctrl+l", "paint_all", priority=True, show=False),
        Binding("f10", "log_out", show=False),
        Binding("f1", "help", show=False),
        Binding("f2", "menu", show=False),
        Binding("f3", "tasks", show=False),
        Binding("f6", "language", priority=True, show=False),
        Binding("f7", "theme", show=False),
        Binding("question_mark", "keys", show=False),
        Binding("colon", "goto", show=False),
    ]

    def __init__(
        self,
        backend: SessionBackend,
        *,
        account: str = "",
        user: Mapping[str, Any] | None = None,
        clock: Clock | None = None,
        settings: Settings | None = None,
        usual_language: str = "",
    ) -> None:
        """Make a console.

        Args:
            backend: the cloud; not logged in unless ``user`` is given.
            account: typed already at the login.
            user: the row of who is logged in already.
            clock: the time.
            settings: the person's settings; kept in memory only when not given.
            usual_language: of who never chose one; that which is set now when empty.
        """
        super().__init__(ansi_color=None)
        label_fields_by(registry.label)
        self._chosen = settings or Settings()
        self._chosen.on_change = self._keep_soon
        self._keeping = False
        self._usual_language = usual_language or language()
        self.context = Context(backend, clock or SystemClock(), self, self._chosen, user=dict(user or {}))
        self._first_account = account
        self._watcher = Watcher(backend, self, lambda: self.context.tasks.running)
        self._offered = False
        for theme in THEMES.values():
            self.register_theme(theme)
        self._disable_tooltips = True  # a widget for each screen, and there are none
        self._apply_theme(theme_for_terminal(chosen=self._chosen.theme))
        self.stylesheet.set_variables(self.get_css_variables())
        self._css_begun = False

    # -- how it begins

    def refresh_css(self, animate: bool = True) -> None:
        """See :class:`textual.app.App`. At the start the style sheet has the theme already: it is not read twice."""
        if self._css_begun:
            super().refresh_css(animate)
        else:
            self._css_begun = True
            self.stylesheet.update(self, animate=animate)

    def on_mount(self) -> None:
        """Show the login, or the first list when somebody is logged in already."""
        self.set_interval(1.0, self._second)
        self.set_timer(SETTLED, settle)
        if self.context.user:
            self._take_over(self.context.user)
            self._enter()
        else:
            self.push_screen(self.login_screen(self.logged_in, self._first_account))

    def logged_in(self, user: Mapping[str, Any]) -> None:
        """A first password is changed before anything else."""
        self._take_over(user)
        if user.get("must_change_password"):
            self.switch_screen(self.password_screen(self._password_changed))
        else:
            self._enter()

    def _take_over(self, user: Mapping[str, Any]) -> None:
        """The console becomes this person's: colours, language, lists, and none of the tasks of who was here before."""
        if user.get("name") != self.context.account:
            self._tasks_anew()
        self.context.user = dict(user)
        self._chosen.load(self.context.account, user.get("preferences"))
        # Who never chose one is not spoken to in that of who was here before, or was last on this machine.
        wanted = self._chosen.language or self._usual_language
        if wanted != language():
            self._speak(wanted)
        self._apply_theme(theme_for_terminal(chosen=self._chosen.theme))

    def _password_changed(self) -> None:
        self.context.user = {**self.context.user, "must_change_password": False}
        self._enter()

    def _enter(self) -> None:
        """Begin at the first list of the menu."""
        self._watcher.start()
        self.open_resource(registry.menu(self.context.role)[0].resources[0], root=True)
        if registry.resource("cloud").actions and self.context.role == "sysadm":
            self._ask_whether_empty()

    def begin_anew(self) -> None:
        """See :class:`dosvm_tui.reach.Reach`."""
        self._tasks_anew()
        self._enter()

    def _ask_whether_empty(self) -> None:
        account = self.context.account
        self.context.courier.send(
            lambda: self.context.backend.call("cloud.status"),
            self,
            lambda status: self._stands(status) if self.context.account == account else None,
            lambda _error: None,
        )

    def _stands(self, status: Mapping[str, Any]) -> None:
        if status.get("empty") and not self._offered and not self.at_gate:
            from screens.special.first_run import offer

            self._offered = True
            offer(self.context)

    def log_out(self, next_account: str = "") -> None:
        """See :class:`screens.context.Desk`."""
        self._watcher.pause()
        self._offered = False
        if next_account:
            # The same person, under the name that the first-run helper has just made.
            self._usual_language = language()
        patch = self._chosen.change() if self.context.user else {}
        before = self.context.backend.same_session()
        self.context.courier.send(
            lambda: self._keep_and_log_out(before, patch), self, lambda _done: None, lambda _error: None
        )
        self.context.user = {}
        self._chosen.forget()
        self._tasks_anew()
        self._held_notices.clear()
        self.clear_notifications()
        self._become(self.login_screen(self.logged_in, next_account))

    def _keep_and_log_out(self, before: SessionBackend, patch: Mapping[str, Any]) -> None:
        """Runs in a thread, of the session ``before``: what cannot be kept does not keep anybody logged in."""
        with contextlib.suppress(DosvmError):
            self._send_choices(before, patch)
        before.logout()

    # -- what a person chose

    def _keep_soon(self) -> None:
        """Tell the cloud of choices once they rest: whoever goes through the themes does not write each of them."""
        if not self._keeping:
            self._keeping = True
            self.set_timer(KEEP_AFTER, self._keep)

    def _keep(self) -> None:
        self._keeping = False
        patch = self._chosen.change()
        if self.context.user and patch:
            session, account = self.context.backend.same_session(), self.context.account
            # What cannot be told now is told with the next choice, or on leaving.
            self.context.courier.send(
                lambda: self._send_choices(session, patch),
                self,
                lambda _done: self._chosen.sent(patch) if self.context.account == account else None,
                lambda _error: None,
            )

    @staticmethod
    def _send_choices(session: SessionBackend, patch: Mapping[str, Any]) -> None:
        if patch:
            text = json.dumps(patch, ensure_ascii=False)
            session.call("profile.set-preferences", preferences=text)

    def keep_choices(self) -> None:
        """On leaving: tell the cloud what it does not know yet of the person's choices; blocks.

        Raises:
            DosvmError: it cannot be told.
        """
        self._send_choices(self.context.backend, self._chosen.change())

    def _fatal_error(self) -> None:
        """A fault of the console itself: a sentence for the person, the traceback into a file."""
        if os.environ.get("DOSVM_DEBUG"):
            super()._fatal_error()
            return
        self._exit_renderables.append(Text(crash_sentence()))
        self._close_messages_no_wait()

    def choose_language(self, code: str) -> None:
        """See :class:`screens.context.Desk`: every screen says everything anew, nothing typed is lost."""
        self._chosen.language = code
        self._chosen.save()
        self._speak(code)

    def _speak(self, code: str) -> None:
        set_language(code)
        for screen in self.screen_stack:
            retranslate = getattr(screen, "retranslate", None)
            if retranslate is not None and screen.is_mounted:
                retranslate()

    def _apply_theme(self, name: str) -> None:
        use_plain(is_plain(name))
        self.theme = name

    def choose_theme(self, name: str) -> None:
        """See :class:`screens.context.Desk`."""
        self._chosen.theme = name
        self._chosen.save()
        self._apply_theme(name)
        for screen in self.screen_stack:
            for widget in screen.query("Box, #frame"):
                widget.set_class(is_plain(name), "-plain")
            for widget in screen.query("VirtualTable"):
                widget.redraw()  # type: ignore[attr-defined]
        self.notice(_(N_("Colours: {name}")).format(name=_(TITLES[name])))

    # -- keys

    def action_language(self) -> None:
        """F6: the next language."""
        codes = list(LANGUAGES)
        self.choose_language(codes[(codes.index(language()) + 1) % len(codes)])

    def action_theme(self) -> None:
        """F7: the next theme."""
        if isinstance(self.screen, BaseDialog):
            return
        names = list(THEMES)
        self.choose_theme(names[(names.index(self.theme) + 1) % len(names)])

    def action_help_quit(self) -> None:
        """Ctrl+C, by which nobody leaves by accident."""
        self.notice(_(N_("Ctrl+Q leaves.")))

    def action_help(self) -> None:
        """F1: help for the screen in front."""
        if self._front is not None and self._front is self.screen:
            from screens.special.help import help_of

            self.show(help_of(self.context, self._front))

    def action_keys(self) -> None:
        """?: all keys of the screen in front."""
        if self._front is not None and self._front is self.screen:
            from screens.special.help import keys_of

            self.show(keys_of(self.context, self._front))

    def action_menu(self) -> None:
        """F2: the menu."""
        if self._front is not None and self._front is self.screen:
            from screens.special.menu import Menu

            menu = Menu(self.context, self._front.resource_name)
            self.show(menu, lambda name: self.open_resource(name, root=True) if name else None)

    def action_tasks(self) -> None:
        """F3: the tasks that were started here."""
        if self._front is not None and self._front is self.screen:
            from screens.generic.task_tray import TaskTray

            self.show(TaskTray(self.context))

    def action_palette(self) -> None:
        """Ctrl+P: the palette."""
        self._open_palette(goto=False)

    def action_goto(self) -> None:
        """The colon: where to go."""
        self._open_palette(goto=True)

    def _open_palette(self, *, goto: bool) -> None:
        if self._front is not None and self._front is self.screen:
            from dosvm_tui.palette import Palette

            self.show(Palette(self.context, self._front, self._commands, goto=goto))

    def _commands(self) -> list[tuple[str, str, Callable[[], None]]]:
        colours = [
            (f"theme:{name}", f"{_(N_('Colours'))}: {_(title)}", lambda name=name: self.choose_theme(name))
            for name, title in TITLES.items()
        ]
        languages = [
            (f"language:{code}", f"Language: {name}", lambda code=code: self.choose_language(code))
            for code, name in LANGUAGES.items()
        ]
        return [
            ("help", _(N_("Help for this screen")), self.action_help),
            ("keys", _(N_("All keys")), self.action_keys),
            ("tasks", _(N_("Tasks started here")), self.action_tasks),
            *colours,
            *languages,
            ("logout", _(N_("Log out")), self._log_out_if_sure),
            ("leave", _(N_("Leave the console")), self.action_leave),
        ]

    def action_log_out(self) -> None:
        """F10: end the session, not without asking while files are sent: they end with it."""
        if self._front is not None and self._front is self.screen:
            self._log_out_if_sure()

    def _log_out_if_sure(self) -> None:
        self._go_if_sure(N_("Log out"), self.log_out)

    def action_paint_all(self) -> None:
        """Ctrl+L, as everywhere: write the whole screen again."""
        self.paint_all()

    def action_leave(self) -> None:
        """Ctrl+Q: leave, not without asking while something typed is not saved. Tasks go on without the console."""
        self._go_if_sure(N_("Leave the console"), self._leave)

    def _go_if_sure(self, title: str, go: Callable[[], None]) -> None:
        """Do what ends all that is typed and sent here; asked first where there is any of it."""
        dialogs = [screen for screen in self.screen_stack if isinstance(screen, BaseDialog)]
        unsaved = any(dialog.unsaved for dialog in dialogs)
        if not unsaved and not self.context.tasks.sending:
            go()
            return
        from dosvm_tui.leaving import QUESTION, question

        if not any(dialog.id == QUESTION for dialog in dialogs):
            self.show(question(self.context, title, unsaved=unsaved), lambda yes: go() if yes else None)

    def _tasks_anew(self) -> None:
        """Nobody's tasks, and nothing is sent any more for who was here."""
        for sent in self.context.tasks.sending:
            sent.stop.set()
        self.context.tasks, self._clipboard = TaskBook(), ""

    def _leave(self) -> None:
        self._watcher.close()
        self.exit(len(self.context.tasks.running))

    def stop_listening(self) -> None:
        """Hear no more news; from any thread."""
        self._watcher.close()

    def leave_at_once(self) -> None:
        """End without asking; from any thread."""
        self.post_message(Answered(self._leave))


def settle() -> None:
    """Collect garbage from now on, but not among what the start has made: it stays.

    Collections during the start took a third of the time to the first rows.
    """
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def end_session(app: Console, limit: float = LAST_WORDS) -> None:
    """Whoever leaves leaves no open session behind; a hostd that is away cannot be told, and forgets it by itself.

    One that hangs is not waited for longer than ``limit`` seconds.
    """
    if not app.context.user:
        return
    # It would ask who is there once the session is over.
    app.stop_listening()

    def say() -> None:
        for last in (app.keep_choices, app.context.backend.logout):
            with contextlib.suppress(DosvmError):
                last()

    # A daemon: the program ends without it.
    words = threading.Thread(target=say, name="last-words", daemon=True)
    words.start()
    words.join(limit)


def run(backend: SessionBackend | None = None, account: str | None = None) -> int:
    """Run the console until the person leaves it.

    Args:
        backend: the cloud, not logged in; that of this machine when not given.
        account: typed already at the login.

    Returns:
        The exit code: 0, 1 when the terminal cannot show a console, or what a shell reports of a signal that ended it.
    """
    if os.environ.get("TERM", "dumb") == "dumb":
        print(
            _(N_("This terminal cannot show the console (TERM is dumb). See `dosvm --help` for commands.")),
            file=sys.stderr,
        )
        return 1
    if backend is None:
        from dosvm_tui.wiring import connect

        backend = connect()
    gc.disable()
    settings = Settings(path=settings_path())
    usual = language()
    settings.recall()
    if settings.language:
        set_language(settings.language)
    app = Console(backend, account=account or "", settings=settings, usual_language=usual)
    hangup = Hangup(lambda: end_session(app), app.leave_at_once)
    hangup.watch()
    running = app.run()
    if hangup.code:
        return hangup.code
    end_session(app)
    if running:
        # `make run` ends the hostd that it started.
        if os.environ.get("DOSVM_HOSTD_ENDS"):
            text = ngettext(
                "{count} task goes on when hostd runs again.", "{count} tasks go on when hostd runs again.", running
            )
        else:
            text = ngettext(
                "{count} task goes on without the console.", "{count} tasks go on without the console.", running
            )
        print(text.format(count=running))
    return app.return_code or 0
