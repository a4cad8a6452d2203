"""What every screen is handed: the cloud, who is asking, and the desk it all happens at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from textual.screen import Screen

from core.clock import Clock
from core.errors import DatabaseUnavailable, DosvmError, HostdUnavailable
from core.rpc.backend import Backend
from core.rpc.upload import Upload
from screens.courier import Courier
from screens.spec import PROJECT, SYSADM, ResourceSpec, Row
from screens.taskbook import TaskBook

#: The one account of the system administrator (manual 5.2).
SYSTEM_ACCOUNT = "sysadm"


class SessionBackend(Backend, Protocol):
    """A backend one logs in to."""

    def login(self, account: str, password: str) -> dict[str, Any]:
        """Open a session; later calls use it. Returns the user's own row."""

    def logout(self) -> None:
        """End the session."""

    def same_session(self) -> SessionBackend:
        """A backend that stays with the session of now, whoever logs in here meanwhile."""


class Settings(Protocol):
    """A person's own settings; :meth:`save` keeps them."""

    theme: str
    language: str
    chart_interval: float
    pane: str
    folded: bool
    lists: dict[str, dict[str, Any]]

    def save(self) -> None:
        """Keep them for the next time; a failure is no error of the console."""


class Desk(Protocol):
    """What screens ask of the application that runs them."""

    def open_resource(
        self, name: str, *, filters: Mapping[str, Any] | None = None, title: str = "", root: bool = False
    ) -> None:
        """Open a resource's list; with ``root`` in place of all that is open, otherwise above it."""

    def open_row(self, spec: ResourceSpec, row: Row) -> None:
        """Open the details of a row."""

    def open_special(self, name: str, spec: ResourceSpec, row: Row | None = None) -> bool:
        """Open a special screen; False when there is none of this name."""

    def show(self, screen: Screen[Any], then: Callable[[Any], None] | None = None) -> None:
        """Put a screen above the others; ``then`` takes its result when it closes."""

    def back(self) -> None:
        """Close the screen on top, unless it is the last."""

    def crumbs(self) -> Sequence[str]:
        """The way from the outermost screen to this one."""

    def notice(self, text: str, severity: str = "information") -> None:
        """Say something that goes away by itself; ``information``, ``warning`` or ``error``."""

    def explain(self, error: DosvmError) -> None:
        """Do what an error calls for: say it, log in again, change the password, or show that hostd is away."""

    def arrived(self) -> None:
        """A call went through: hostd and the database are there."""

    def follow(
        self, task: str, action: str, name: str, again: Callable[[DosvmError | None], None] | None = None
    ) -> None:
        """Watch a task that was started here: ``action`` (msgid), on ``name``; ``again``: see the book of tasks."""

    def send_file(
        self,
        begin: Callable[[], Upload],
        upload: Upload,
        action: str,
        name: str,
        form: Callable[[DosvmError | None], None] | None = None,
    ) -> None:
        """Send a file that hostd was told of, and follow the look at it.

        ``begin`` tells hostd of it again; ``form`` opens the form it came from, told what was wrong with the file.
        """

    def choose_language(self, code: str) -> None:
        """Speak another language from now on, everywhere."""

    def choose_theme(self, name: str) -> None:
        """Look otherwise from now on."""

    def log_out(self, next_account: str = "") -> None:
        """End the session and ask who comes next; ``next_account`` is typed already."""


def is_away(error: DosvmError) -> bool:
    """Whether an error says that the way to the cloud is broken, rather than one of its parts."""
    return isinstance(error, HostdUnavailable | DatabaseUnavailable)


@dataclass
class Link:
    """Whether hostd and the database answer. ``retry_at`` is a time of the monotonic clock.

    ``unseen`` is the host that answers while its libvirtd does not; empty when that does.
    """

    unseen: str = ""
    error: DosvmError | None = None
    retry_at: float = 0.0
    failures: int = 0

    @property
    def lost(self) -> bool:
        """Whether they do not."""
        return self.error is not None


@dataclass
class Context:
    """All that screens share. ``user`` is the row of who is logged in; empty before."""

    backend: SessionBackend
    clock: Clock
    desk: Desk
    settings: Settings
    courier: Courier = field(default_factory=Courier)
    link: Link = field(default_factory=Link)
    tasks: TaskBook = field(default_factory=TaskBook)
    user: Mapping[str, Any] = field(default_factory=dict)

    @property
    def account(self) -> str:
        """The account of who is logged in."""
        return str(self.user.get("name", ""))

    @property
    def role(self) -> str:
        """The role of who is logged in."""
        return SYSADM if self.account == SYSTEM_ACCOUNT else PROJECT
