"""The way to the cloud: what is done when it is away, comes back, has news, or does not know us any more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from textual.screen import Screen

from core.errors import AuthenticationFailed, DosvmError, PasswordChangeRequired
from core.i18n import N_, _, ngettext, sentences
from core.rpc.upload import Upload
from dosvm_tui.stage import Stage
from dosvm_tui.watcher import Deaf, News, Watcher
from screens.base import BaseDialog, BaseScreen
from screens.context import is_away
from screens.courier import Answered
from screens.taskbook import ENDED, Followed, Sent

#: Seconds between tries to reach hostd or the database: 1, 2, 4, 8, then 10.
LONGEST_PAUSE = 10.0
#: Seconds between two looks at the host that answers: its libvirtd may be away while hostd is there.
LOOK_HERE = 5.0
#: More tasks than this ending at once are counted rather than named.
NAMED = 3
#: Seconds between two looks at a file that is being sent.
BETWEEN = 0.3
#: Seconds after news until one looks whether the project that one manages is still the same.
OWN_AFTER = 1.0


class Reach(Stage):
    """The application as far as it follows the cloud; the second half of :class:`screens.context.Desk`."""

    _watcher: Watcher
    _retrying = False
    #: When to look which project one manages (monotonic); None while there was no news.
    _own_due: float | None = None
    _looking_here = False
    _looked_here = -1e9

    def login_screen(self, then: Callable[[Mapping[str, Any]], None], account: str = "", why: str = "") -> Screen[Any]:
        """A login; ``why`` is the msgid of why it is asked again."""
        from screens.special.login import Login

        return Login(self.context, then, account, why)

    def password_screen(self, then: Callable[[], None]) -> Screen[Any]:
        """The change of a first password."""
        from screens.special.login import ChangePassword

        return ChangePassword(self.context, then)

    @property
    def at_gate(self) -> bool:
        """Whether somebody is logging in, or changing a first password, already."""
        return any(screen.has_class("gate") for screen in self.screen_stack)

    def logged_in(self, user: Mapping[str, Any]) -> None:
        """Somebody is logged in."""
        raise NotImplementedError

    def on_answered(self, message: Answered) -> None:
        """Take an answer."""
        message.give()

    def explain(self, error: DosvmError) -> None:
        """See :class:`screens.context.Desk`."""
        if is_away(error):
            self._lost(error)
        elif isinstance(error, PasswordChangeRequired):
            if not self.at_gate:
                self.push_screen(self.password_screen(self._password_changed_above))
        elif isinstance(error, AuthenticationFailed) and not error.field:
            self._session_ended()
        else:
            self.notice(error.text(), "error")

    def _password_changed_above(self) -> None:
        self.pop_screen()
        self._watcher.start()
        self._look_again()

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
        if self._notifications:
            # What lies above the rows has moved, or is more.
            self.screen.call_after_refresh(self._place_notices)

    def _look_again(self) -> None:
        if self._front is not None:
            self._front.look_again()
        if isinstance(self.screen, BaseDialog):
            self.screen.look_again()

    def _second(self) -> None:
        """Once a second: the clock, and the tries to reach what is away."""
        link = self.context.link
        front = self._front
        if front is not None:
            front.show_path()
        if not link.lost:
            self._look_at_oneself()
            self._look_here()
            return
        self._show_banners()
        if self.context.clock.monotonic() >= link.retry_at and not self._retrying:
            self._retrying = True
            self.context.courier.send(
                lambda: self.context.backend.call("cloud.status"), self, self._reached, self._not_reached
            )

    def _look_at_oneself(self) -> None:
        """Some time after news: who was given another project must not go on to read the name of the one before."""
        now = self.context.clock.monotonic()
        if self._own_due is None or now < self._own_due or not self.context.user or self.at_gate:
            return
        self._own_due = None
        if self.context.role == "sysadm":
            return
        session, account = self.context.backend.same_session(), self.context.account
        self.context.courier.send(
            lambda: session.call("profile.show"),
            self,
            lambda own: self._know_project(own) if self.context.account == account and not self.at_gate else None,
            lambda _error: None,
        )

    def _know_project(self, own: Mapping[str, Any]) -> None:
        """Work in the project that the person now has; what is open of another one is closed: it would act in this."""
        before, now = self.context.user, {"project": own.get("project"), "project_uuid": own.get("project_uuid")}
        old, project = str(before.get("project") or ""), str(now["project"] or "")
        is_same = before.get("project_uuid") == now["project_uuid"]
        if is_same and old == project:
            return
        self.context.user = {**before, **now}
        if is_same:
            text = N_("Your project {before} is called {project} now.")
        elif project:
            text = N_("You manage project {project} now: all lists are that project's, and what was open is closed.")
        else:
            text = N_("You manage no project any more: what was open is closed.")
        if not is_same:
            self.begin_anew()
        for screen in self.screen_stack:
            if isinstance(screen, BaseScreen):
                screen.show_frame()
        self.notice(_(text).format(before=old, project=project), "warning")

    def begin_anew(self) -> None:
        """Close what is open, follow no tasks, and begin at the first list."""
        raise NotImplementedError

    def _look_here(self) -> None:
        """Ask the host that answers how it is, now and then."""
        now = self.context.clock.monotonic()
        if self.at_gate or not self.context.user or self._looking_here or now - self._looked_here < LOOK_HERE:
            return
        self._looking_here, self._looked_here = True, now
        self.context.courier.send(
            lambda: self.context.backend.call("cloud.here"), self, self._seen_here, self._not_seen_here
        )

    def _seen_here(self, answer: Mapping[str, Any]) -> None:
        self._looking_here = False
        link = self.context.link
        unseen = str(answer["host"]) if answer["hypervisor_error"] else ""
        if unseen != link.unseen:
            link.unseen = unseen
            self._show_banners()

    def _not_seen_here(self, _error: DosvmError) -> None:
        # Whoever asks for something that is waited for says it.
        self._looking_here = False

    def _reached(self, _status: Any) -> None:
        self._retrying = False
        self.arrived()

    def _not_reached(self, error: DosvmError) -> None:
        self._retrying = False
        if is_away(error):
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
        if message.changed and self._own_due is None:
            self._own_due = self.context.clock.monotonic() + OWN_AFTER
        if message.changed or ended:
            self._look_again()

    def _session_ended(self) -> None:
        """Ask who is there, above what is open: the same person comes back to the same place."""
        if self.at_gate:
            return
        self._watcher.pause()
        before = self.context.account

        def again(user: Mapping[str, Any]) -> None:
            if user.get("name") == before and not user.get("must_change_password"):
                self.pop_screen()
                self._watcher.start()
                self._know_project(user)
                self._look_again()
            else:
                self.logged_in(user)

        self.push_screen(self.login_screen(again, before, N_("The session has ended.")))

    def follow(
        self, task: str, action: str, name: str, again: Callable[[DosvmError | None], None] | None = None
    ) -> None:
        """See :class:`screens.context.Desk`."""
        self.context.tasks.follow(task, action, name, again)
        self._tell_tasks([])

    def send_file(
        self,
        begin: Callable[[], Upload],
        upload: Upload,
        action: str,
        name: str,
        form: Callable[[DosvmError | None], None] | None = None,
    ) -> None:
        """See :class:`screens.context.Desk`."""
        book, clock, last = self.context.tasks, self.context.clock, 0.0

        account = self.context.account

        def again() -> None:
            """Once for each end; of who began it, in the session that is his by now."""
            if sent.state not in ENDED or self.context.account != account:
                return
            sent.row = {**sent.row, "state": "running"}

            def made(upload: Upload) -> None:
                if self.context.account == account:
                    self.send_file(begin, upload, action, name, form)
                else:
                    upload.close()

            def refused(error: DosvmError) -> None:
                sent.end(error)
                if self.context.account == account:
                    self._tell_tasks([])
                    self.explain(error)

            self.context.courier.aside(begin, self, made, refused)

        sent = Sent(f"file {upload.answer['uuid']}", action, name, upload.size, again)
        book.send(sent)

        def told(done: int, _size: int, checked: int) -> None:
            """Runs in the thread that sends."""
            nonlocal last
            now = clock.monotonic()
            sent.tell(now, done, checked)
            if now - last > BETWEEN:
                last = now
                self.post_message(Answered(lambda: self._tell_tasks([])))

        def there(answer: Mapping[str, Any]) -> None:
            book.forget(sent)
            if book is self.context.tasks:
                self.follow(str(answer["task"]), action, name, form)

        def ended(error: DosvmError) -> None:
            sent.end(error)
            if book is self.context.tasks:
                self._tell_tasks([sent])

        self.context.courier.aside(lambda: upload.send(told, sent.stop.is_set), self, there, ended)
        self._tell_tasks([])

    def _tell_tasks(self, ended: Sequence[Followed]) -> None:
        front = self._front
        if front is not None:
            front.show_path()
        # One that a question lies over follows its tasks as well.
        for screen in reversed(self.screen_stack):
            if hasattr(screen, "tells_of"):
                ended = [task for task in ended if not screen.tells_of(task)]
            if hasattr(screen, "tasks_changed") and screen.is_mounted:
                screen.tasks_changed()
        failed = [task for task in ended if task.state == "failed"]
        well = [task for task in ended if task.state == "done"]
        for task in failed[:NAMED]:
            back = _(N_(" F3, then r: again with what was typed.")) if task.can_again else ""
            self.notice(f"{task.what} {task.name}: {task.error}{back}", "error")
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
                done = _(N_("{what} {name}: done.")).format(what=task.what, name=task.name)
                self.notice(sentences(done, task.outcome) if task.outcome else done)
