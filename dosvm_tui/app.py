"""The console: puts screens, settings and the way to hostd together; decides nothing about the cloud."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.screen import Screen

from core.clock import Clock, SystemClock
from core.errors import AuthenticationFailed, DosvmError, PasswordChangeRequired, Unavailable
from core.i18n import LANGUAGES, N_, _, language, ngettext, set_language
from dosvm_tui.settings import Settings, settings_path
from dosvm_tui.watcher import Deaf, News, Watcher
from screens import registry
from screens.base import BaseDialog, BaseScreen
from screens.context import Context, SessionBackend
from screens.courier import Answered
from screens.generic.resource_list import ResourceList
from screens.spec import ResourceSpec, Row
from screens.special import SCREENS
from screens.taskbook import Followed
from themes import THEMES, TITLES, is_plain, theme_for_terminal
from widgets.glyphs import use_plain
from widgets.keys import OrderedKeys
from widgets.sparing import SparingOutput

#: Seconds between tries to reach hostd or the database: 1, 2, 4, 8, then 10.
LONGEST_PAUSE = 10.0
#: Seconds after which what is there at the beginning counts as there to stay.
SETTLED = 1.5
#: More tasks than this ending at once are counted rather than named.
NAMED = 3


class Console(SparingOutput, OrderedKeys):
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
    ) -> None:
        """Make a console.

        Args:
            backend: the cloud; not logged in unless ``user`` is given.
            account: typed already at the login.
            user: the row of who is logged in already.
            clock: the time.
            settings: the person's settings; kept in memory only when not given.
        """
        super().__init__(ansi_color=None)
        self._chosen = settings or Settings()
        self.context = Context(backend, clock or SystemClock(), self, self._chosen, user=dict(user or {}))
        self._first_account = account
        self._watcher = Watcher(backend, self, lambda: self.context.tasks.running)
        self._retrying = False
        self._ended_session = False
        self._offered = False
        for theme in THEMES.values():
            self.register_theme(theme)
        self._apply_theme(self._chosen.theme or theme_for_terminal())

    # -- how it begins

    def on_mount(self) -> None:
        """Show the login, or the first list when somebody is logged in already."""
        self.set_interval(1.0, self._second)
        self.set_timer(SETTLED, settle)
        if self.context.user:
            self._enter()
        else:
            self.push_screen(self._login(self._logged_in, self._first_account))

    def _login(self, then: Callable[[Mapping[str, Any]], None], account: str = "", why: str = "") -> Screen[Any]:
        from screens.special.login import Login

        return Login(self.context, then, account, why)

    def _new_password(self, then: Callable[[], None]) -> Screen[Any]:
        from screens.special.login import ChangePassword

        return ChangePassword(self.context, then)

    @property
    def _at_gate(self) -> bool:
        """Whether somebody is logging in, or changing a first password, already."""
        return any(screen.has_class("gate") for screen in self.screen_stack)

    def _logged_in(self, user: Mapping[str, Any]) -> None:
        self.context.user = dict(user)
        self._chosen.load(self.context.account)
        if self._chosen.language and self._chosen.language != language():
            self.choose_language(self._chosen.language)
        if self._chosen.theme:
            self._apply_theme(self._chosen.theme)
        if user.get("must_change_password"):
            self.switch_screen(self._new_password(self._password_changed))
        else:
            self._enter()

    def _password_changed(self) -> None:
        self.context.user = {**self.context.user, "must_change_password": False}
        self._enter()

    def _enter(self) -> None:
        """Begin at the first list of the menu."""
        self._watcher.start()
        self.open_resource(registry.menu(self.context.role)[0].resources[0], root=True)
        if registry.resource("cloud").actions and self.context.role == "sysadm":
            self._ask_whether_empty()

    def _ask_whether_empty(self) -> None:
        self.context.courier.send(
            lambda: self.context.backend.call("cloud.status"), self, self._stands, lambda _error: None
        )

    def _stands(self, status: Mapping[str, Any]) -> None:
        if status.get("empty") and not self._offered:
            from screens.special.first_run import offer

            self._offered = True
            offer(self.context)

    def on_answered(self, message: Answered) -> None:
        """Take an answer."""
        message.give()

    # What screens ask for: other screens.

    def open_resource(
        self, name: str, *, filters: Mapping[str, Any] | None = None, title: str = "", root: bool = False
    ) -> None:
        """See :class:`screens.context.Desk`."""
        screen = self._list_or_row(name, filters=filters, title=title)
        if root:
            self._become(screen)
        else:
            self.push_screen(screen)

    def _list_or_row(self, name: str, *, filters: Mapping[str, Any] | None = None, title: str = "") -> Screen[Any]:
        spec = registry.resource(name)
        if spec.single:
            return self._detail(spec, None)
        return ResourceList(self.context, spec, filters=filters, title=title)

    def _become(self, screen: Screen[Any]) -> None:
        """Put a screen in place of all that is open."""
        # At the bottom lies Textual's own blank screen, which cannot be switched.
        while len(self.screen_stack) > 2:
            self.pop_screen()
        if len(self.screen_stack) == 2:
            self.switch_screen(screen)
        else:
            self.push_screen(screen)

    def open_row(self, spec: ResourceSpec, row: Row) -> None:
        """See :class:`screens.context.Desk`."""
        self.push_screen(self._detail(spec, row))

    def _detail(self, spec: ResourceSpec, row: Row | None) -> Screen[Any]:
        if spec.detail_screen in SCREENS:
            found: Screen[Any] = self._special(spec.detail_screen)(self.context, spec, row)
            return found
        from screens.generic.resource_detail import ResourceDetail

        return ResourceDetail(self.context, spec, row)

    @staticmethod
    def _special(name: str) -> Any:
        module, cls = SCREENS[name]
        return getattr(import_module(module), cls)

    def open_special(self, name: str, spec: ResourceSpec, row: Row | None = None) -> bool:
        """See :class:`screens.context.Desk`."""
        if name not in SCREENS:
            return False
        cls = self._special(name)
        if hasattr(cls, "open"):
            cls.open(self.context)
        else:
            self.push_screen(cls(self.context, spec, row))
        return True

    def show(self, screen: Screen[Any], then: Callable[[Any], None] | None = None) -> None:
        """See :class:`screens.context.Desk`."""
        self.push_screen(screen, then)

    def back(self) -> None:
        """See :class:`screens.context.Desk`."""
        if len(self.screen_stack) > 2:
            self.pop_screen()

    def crumbs(self) -> Sequence[str]:
        """See :class:`screens.context.Desk`."""
        return [screen.crumb() for screen in self.screen_stack if isinstance(screen, BaseScreen)]

    @property
    def _front(self) -> BaseScreen | None:
        """The uppermost full screen, dialogs above it or not."""
        return next((s for s in reversed(self.screen_stack) if isinstance(s, BaseScreen)), None)

    # What screens ask for: something said.

    def notice(self, text: str, severity: str = "information") -> None:
        """See :class:`screens.context.Desk`."""
        level = "error" if severity == "error" else "warning" if severity == "warning" else "information"
        self.notify(text, severity=level, timeout=12 if level == "error" else 5, markup=False)  # type: ignore[arg-type]

    def explain(self, error: DosvmError) -> None:
        """See :class:`screens.context.Desk`."""
        if isinstance(error, Unavailable):
            self._lost(error)
        elif isinstance(error, PasswordChangeRequired):
            if not self._at_gate:
                self.push_screen(self._new_password(self._password_changed_above))
        elif isinstance(error, AuthenticationFailed) and not error.field:
            self._session_ended()
        else:
            self.notice(error.text(), "error")

    def _password_changed_above(self) -> None:
        self.pop_screen()
        self._look_again()

    # -- away and back

    def _lost(self, error: DosvmError) -> None:
        """Hostd or the database is away: say so, and try again after a pause that grows."""
        link = self.context.link
        if link.lost and link.retry_at > self.context.clock.monotonic():
            link.error = error
        else:
            link.error = error
            link.retry_at = self.context.clock.monotonic() + min(LONGEST_PAUSE, 2.0**link.failures)
            link.failures += 1
        self._show_banners()

    def arrived(self) -> None:
        """See :class:`screens.context.Desk`."""
        link = self.context.link
        if link.lost:
            link.error, link.failures = None, 0
            self._show_banners()
            self._look_again()

    def _show_banners(self) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, BaseScreen):
                screen.show_banner()

    def _look_again(self) -> None:
        if self._front is not None:
            self._front.look_again()

    def _second(self) -> None:
        """Once a second: the clock, and the tries to reach what is away."""
        link = self.context.link
        front = self._front
        if front is not None:
            front.show_path()
        if not link.lost:
            return
        self._show_banners()
        if self.context.clock.monotonic() >= link.retry_at and not self._retrying:
            self._retrying = True
            self.context.courier.send(
                lambda: self.context.backend.call("cloud.status"), self, self._reached, self._not_reached
            )

    def _reached(self, _status: Any) -> None:
        self._retrying = False
        self.arrived()

    def _not_reached(self, error: DosvmError) -> None:
        self._retrying = False
        if isinstance(error, Unavailable):
            self._lost(error)
        else:
            # It answers, if only to refuse.
            self.arrived()
            self.explain(error)

    def on_deaf(self, message: Deaf) -> None:
        """Listening failed."""
        self.explain(message.error)

    def on_news(self, message: News) -> None:
        """Something changed: the screen in front looks again, the tray follows the tasks."""
        ended = self.context.tasks.hear(message.tasks)
        if self.context.link.lost:
            self.context.link.retry_at = self.context.clock.monotonic()
        if message.tasks:
            self._tell_tasks(ended)
        if message.changed or ended:
            self._look_again()

    def _session_ended(self) -> None:
        """Ask who is there, above what is open: the same person comes back to the same place."""
        if self._at_gate:
            return
        self._watcher.pause()
        before = self.context.account

        def again(user: Mapping[str, Any]) -> None:
            if user.get("name") == before and not user.get("must_change_password"):
                self.context.user = dict(user)
                self.pop_screen()
                self._watcher.start()
                self._look_again()
            else:
                self._logged_in(user)

        self.push_screen(self._login(again, before, N_("The session has ended.")))

    def log_out(self, next_account: str = "") -> None:
        """See :class:`screens.context.Desk`."""
        self._watcher.pause()
        self._offered = False
        self.context.courier.send(self.context.backend.logout, self, lambda _done: None, lambda _error: None)
        self.context.user = {}
        self._become(self._login(self._logged_in, next_account))

    def _fatal_error(self) -> None:
        """A fault of the console itself: a sentence for the person, the traceback into a file."""
        if os.environ.get("DOSVM_DEBUG"):
            super()._fatal_error()
            return
        self._exit_renderables.append(Text(crash_sentence()))
        self._close_messages_no_wait()

    # What screens ask for: tasks followed.

    def follow(self, task: str, what: str, name: str) -> None:
        """See :class:`screens.context.Desk`."""
        self.context.tasks.follow(task, what, name)
        self._tell_tasks([])

    def _tell_tasks(self, ended: Sequence[Followed]) -> None:
        front = self._front
        if front is not None:
            front.show_path()
        top = self.screen
        if hasattr(top, "tasks_changed"):
            top.tasks_changed()
        failed = [task for task in ended if task.state == "failed"]
        well = [task for task in ended if task.state == "done"]
        for task in failed[:NAMED]:
            self.notice(f"{task.what} {task.name}: {task.error}", "error")
        if len(failed) > NAMED:
            count = len(failed) - NAMED
            text = ngettext(
                "{count} more task failed; F3 shows it.", "{count} more tasks failed; F3 shows them.", count
            )
            self.notice(text.format(count=count), "error")
        if len(well) > NAMED:
            self.notice(ngettext("{count} task is done.", "{count} tasks are done.", len(well)).format(count=len(well)))
        else:
            for task in well:
                self.notice(_(N_("{what} {name}: done.")).format(what=task.what, name=task.name))

    # What screens ask for: another language, other colours.

    def choose_language(self, code: str) -> None:
        """See :class:`screens.context.Desk`: every screen says everything anew, nothing typed is lost."""
        set_language(code)
        self._chosen.language = code
        self._chosen.save()
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

            self.show(Palette(self.context, self._front, self._commands(), goto=goto))

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
            ("logout", _(N_("Log out")), self.log_out),
            ("leave", _(N_("Leave the console")), self.action_leave),
        ]

    def action_log_out(self) -> None:
        """F10: end the session."""
        if self._front is not None and self._front is self.screen:
            self.log_out()

    def action_paint_all(self) -> None:
        """Ctrl+L, as everywhere: write the whole screen again."""
        self.paint_all()

    def action_leave(self) -> None:
        """Ctrl+Q: leave; tasks go on without the console, which says so."""
        self._watcher.close()
        running = len(self.context.tasks.running)
        if self.context.user:
            self.context.courier.send(self.context.backend.logout, self, lambda _done: None, lambda _error: None)
        self.exit(running)


def crash_sentence() -> str:
    """Write the traceback of the exception now handled to a file, and say so."""
    import traceback

    kind = type(sys.exc_info()[1]).__name__
    path = crash_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(traceback.format_exc(), encoding="utf-8")
    except OSError:
        return _(N_("The console had to stop because of an error of its own ({kind}).")).format(kind=kind)
    text = _(N_("The console had to stop because of an error of its own ({kind}); {path} says where."))
    return text.format(kind=kind, path=path)


def crash_path() -> Path:
    """Where the traceback of a fault of the console is kept (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "dosvm" / "console-crash.log"


def settle() -> None:
    """Collect garbage from now on, but not among what the start has made: it stays.

    Collections during the start took a third of the time to the first rows.
    """
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def run(backend: SessionBackend | None = None, account: str | None = None) -> int:
    """Run the console until the person leaves it.

    Args:
        backend: the cloud, not logged in; that of this machine when not given.
        account: typed already at the login.

    Returns:
        The exit code: 0, or 1 when the terminal cannot show a console.
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
    app = Console(backend, account=account or "", settings=Settings(path=settings_path()))
    running = app.run()
    if running:
        text = ngettext(
            "{count} task goes on without the console.", "{count} tasks go on without the console.", running
        )
        print(text.format(count=running))
    return app.return_code or 0
