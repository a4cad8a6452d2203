"""The frame of every screen: the menu above, where one is, the keys below; and the way to ask the cloud."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.reactive import Reactive
from textual.screen import Screen
from textual.widget import Widget

from core.clock import local_time
from core.errors import DosvmError
from core.i18n import N_, _, ngettext
from screens import registry
from screens.context import Context
from screens.courier import Answered
from widgets.bar import Bar, KeyBar, KeyHint, Piece, crumbs
from widgets.dialog import Dialog
from widgets.leaf import Across, Backdrop, Down
from widgets.paragraph import Paragraph
from widgets.side_menu import SideMenu
from widgets.text import fit
from widgets.too_small import Covered

Result = TypeVar("Result")
#: Below this width the second-level menu folds away.
FOLD_BELOW = 100


class Asking(Covered):
    """What screens and dialogs have in common: they ask in a thread and are told by message."""

    context: Context

    def too_small(self) -> str:
        """See :class:`widgets.too_small.Covered`."""
        return _(N_("The window is too small: 80x24 at least."))

    def ask(
        self,
        work: Callable[[], Any],
        then: Callable[[Any], None],
        failed: Callable[[DosvmError], None] | None = None,
        *,
        key: str = "",
        front: bool = False,
        anywhere: bool = False,
        aside: bool = False,
    ) -> None:
        """Ask the cloud.

        Args:
            work: the blocking call; runs in a thread, must not touch widgets.
            then: takes the result, in the screen's own time.
            failed: takes the error; otherwise the desk explains it.
            key: a later question of the same key makes the answer to this one meaningless.
            front: the answer opens something: it counts only while nothing else was opened above this screen.
            anywhere: somebody changes something: the answer is told although this screen was left meanwhile, to
                whoever asked, not to who logs in next.
            aside: it may take long, as a file does that is opened on storage which hangs: it holds nothing else up.
        """
        asked: dict[str, int] = self.__dict__.setdefault("_asked", {})
        number = asked[key] = asked.get(key, 0) + 1
        app, account = self.app, self.context.account

        def fresh() -> bool:
            there = self.context.account == account if anywhere else self.is_attached_to_app
            return there and (not key or asked[key] == number)

        def well(result: Any) -> None:
            self.context.desk.arrived()
            shown: object = app.screen
            if fresh() and (not front or shown is self):
                then(result)

        def ill(error: DosvmError) -> None:
            if fresh():
                (failed or self.context.desk.explain)(error)

        courier = self.context.courier
        (courier.aside if aside else courier.send)(work, app if anywhere else self, well, ill)

    @property
    def is_attached_to_app(self) -> bool:
        """Whether it is still there to be told."""
        return self._running and not self._closing

    def on_answered(self, message: Answered) -> None:
        """Take an answer."""
        message.give()


class BaseDialog(Asking, Dialog[Result]):
    """A dialog that asks the cloud. Esc closes it with nothing."""

    def __init__(self, context: Context) -> None:
        """Bind it to the context."""
        super().__init__()
        self.context = context

    def on_key(self, event: events.Key) -> None:
        """Esc goes back one step."""
        if event.key == "escape":
            event.stop()
            self.leave()

    @property
    def unsaved(self) -> bool:
        """Whether something would be lost if the console ended now."""
        return False

    def leave(self) -> None:
        """Close without a result."""
        self.dismiss(None)

    def look_again(self) -> None:
        """See :meth:`BaseScreen.look_again`."""

    def dismiss(self, result: Result | None = None) -> AwaitComplete:
        """Close it, and with it the dialogs above it, which ask or explain what is over now.

        Textual closes whatever is on top: an answer that comes while a question is open would close the question,
        and a second click on a button what lies below. Above it somebody may have to log in again: it waits then.
        """
        if self not in self.app.screen_stack:
            return AwaitComplete()
        if self.come_to_front():
            return super().dismiss(result)
        self._waiting = (result,)
        return AwaitComplete()

    #: The result it is closed with once nothing lies above it.
    _waiting: tuple[Result | None] | None = None

    def come_to_front(self) -> bool:
        """Close the dialogs above it; False, and nothing is closed, when one of the screens above it is none."""
        stack = self.app.screen_stack
        above = stack[stack.index(self) + 1 :] if self in stack else []
        there = all(isinstance(screen, BaseDialog) for screen in above)
        for _dialog in above if there else ():
            self.app.pop_screen()
        return there

    def on_screen_resume(self) -> None:
        """What closes it came while something lay above it."""
        if self._waiting is not None:
            self.dismiss(self._waiting[0])

    def retranslate(self) -> None:
        """Say everything in the language now set."""
        self.retitle()


class BaseScreen(Asking, Screen[None], Backdrop):
    """A full screen with the frame. Subclasses give what is between its lines, and the keys that act."""

    DEFAULT_CSS = """
    BaseScreen { layout: vertical; background: $background; }
    BaseScreen #menu { background: $panel; }
    BaseScreen #keys { background: $panel; }
    BaseScreen #banner { padding: 0 1; background: $error; color: $background; display: none; text-style: bold; }
    BaseScreen #banner.-shown { display: block; }
    BaseScreen #side { display: none; }
    BaseScreen #side.-shown { display: block; }
    BaseScreen #middle { height: 1fr; }
    BaseScreen #body { width: 1fr; height: 1fr; }
    """
    #: The resource this screen is about; decides which menu entries are the present ones.
    resource_name = ""
    #: Widgets paint themselves when the focus comes and goes; Textual's own paints the whole screen as well.
    focused: Reactive[Widget | None] = Reactive(None, repaint=False)

    def __init__(self, context: Context) -> None:
        """Bind it to the context."""
        super().__init__()
        self.context = context

    def update_node_styles(self, animate: bool = True) -> None:
        """See :class:`textual.dom.DOMNode`. All in a new screen was given its styles just now."""
        if animate or self.stack_updates > 1:
            super().update_node_styles(animate)

    # -- what subclasses give

    def content(self) -> ComposeResult:
        """The widgets between the frame's lines."""
        yield from ()

    def crumb(self) -> str:
        """What the path calls this screen, translated."""
        return ""

    def hints(self) -> Sequence[KeyHint]:
        """The keys that act here."""
        return ()

    def retranslate(self) -> None:
        """Say everything in the language now set; what was typed and chosen stays."""
        self.show_frame()

    def look_again(self) -> None:
        """Something changed in the cloud, or it is back after an absence."""

    def help_text(self) -> str:
        """One paragraph about this screen."""
        return ""

    # -- the frame

    def compose(self) -> ComposeResult:
        """The frame around :meth:`content`."""
        yield Bar(id="menu")
        yield Bar(id="path")
        yield Paragraph(id="banner")
        with Across(id="middle"):
            side = SideMenu(id="side")
            # Decided before it is laid out: doing it after would paint the whole screen twice.
            side.set_class(self._side_fits, "-shown")
            yield side
            with Down(id="body"):
                yield from self.content()
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Fill the frame."""
        self.show_frame()

    def on_screen_resume(self) -> None:
        """What lay under another screen may be old."""
        self.show_frame()
        self.look_again()

    def on_resize(self) -> None:
        """Fold the second-level menu away where there is no room."""
        if self.is_framed:
            self._show_side()

    @property
    def is_framed(self) -> bool:
        """Whether the frame is there: not while the screen is being made or taken away."""
        return self.is_attached_to_app and bool(self.query("#keys"))

    def show_frame(self) -> None:
        """Fill the frame's lines with what is now so."""
        if not self.is_framed:
            return
        self._show_menu()
        self.show_path()
        self.show_banner()
        self.show_keys()

    @property
    def sections(self) -> Sequence[registry.Section]:
        """The first-level menu of who is logged in."""
        return registry.menu(self.context.role)

    @property
    def section(self) -> registry.Section | None:
        """The section this screen belongs to."""
        return next((s for s in self.sections if self.resource_name in s.resources), None)

    def _show_menu(self) -> None:
        project = self.context.user.get("project")
        who = f" {self.context.account}@{project} " if project else f" {self.context.account} "
        pieces = self._menu_pieces(max(20, self.app.size.width - cell_len(who)))
        self.query_one("#menu", Bar).set(pieces, [Piece(who, "muted")])
        self._show_side()

    def _menu_pieces(self, room: int) -> list[Piece]:
        """The sections in so many cells: when there are too many, the longest get their short titles, then are cut."""
        present, brand = self.section, " DOSVM "
        titles = [_(section.title) + self._which_of(section) for section in self.sections]
        shorter = [_(section.short or section.title) + self._which_of(section) for section in self.sections]
        wide = [cell_len(title) for title in titles]
        longest = max(wide)

        def needed() -> int:
            of = zip(self.sections, wide, strict=True)
            # A number, blanks or brackets; a blank less when room is short.
            each = 4 if brand else 3
            shown = (size if section is present else min(longest, size) for section, size in of)
            return 2 + len(brand) + sum(each + size for size in shown)

        if needed() > room:
            brand = ""
        saved = {n: wide[n] - cell_len(short) for n, short in enumerate(shorter) if cell_len(short) < wide[n]}
        for n in sorted(saved, key=saved.__getitem__, reverse=True):
            if needed() <= room:
                break
            titles[n], wide[n] = shorter[n], cell_len(shorter[n])
        while longest > 2 and needed() > room:
            longest -= 1
        pieces = [Piece(brand, "strong")]
        for number, (section, whole) in enumerate(zip(self.sections, titles, strict=True), 1):
            chosen = section is present
            title = whole if chosen or cell_len(whole) <= longest else fit(whole, longest)
            # Without colour the brackets tell which one is open.
            before, after = (" ", "") if brand else ("", " ")
            text = f"[{number} {title}]{after}" if chosen else f"{before}{number} {title} "
            pieces.append(Piece(text, "chosen" if chosen else "", f"section:{section.resources[0]}"))
        return pieces

    def _which_of(self, section: registry.Section) -> str:
        """Of the open section, which of its lists this is, where no column beside it tells."""
        if section is not self.section or len(section.resources) < 2 or self._side_fits:
            return ""
        return f" {section.resources.index(self.resource_name) + 1}/{len(section.resources)}"

    def _show_side(self) -> None:
        """The second level as a column, where there is room and something to choose."""
        side = self.query_one("#side", SideMenu)
        side.set_class(self._side_fits, "-shown")
        if self._side_fits and self.section is not None:
            names = self.section.resources
            side.set([(name, _(registry.resource(name).title)) for name in names], self.resource_name)

    @property
    def _side_fits(self) -> bool:
        section = self.section
        return self.app.size.width >= FOLD_BELOW and section is not None and len(section.resources) > 1

    def show_path(self) -> None:
        """Where one is, the time with its zone, the tasks that run."""
        if not self.is_framed:
            return
        pieces = []
        running = len(self.context.tasks.running) + len(self.context.tasks.sending)
        if running:
            text = ngettext("{count} task", "{count} tasks", running).format(count=running)
            pieces.append(Piece(f"{text}  ", "warning", "tasks"))
        now = local_time(self.context.clock.now().isoformat())
        pieces.append(Piece(f"{now.tzname()} {now:%H:%M} ", "muted"))
        self.query_one("#path", Bar).set(crumbs(list(self.context.desk.crumbs())), pieces)

    def show_banner(self) -> None:
        """What is away, and when it is tried again; nothing when all is there."""
        if not self.is_framed:
            return
        banner, text = self.query_one("#banner", Paragraph), self._away()
        banner.set_class(bool(text), "-shown")
        if text:
            banner.set(text)

    def _away(self) -> str:
        link = self.context.link
        if link.error is not None:
            seconds = max(0, round(link.retry_at - self.context.clock.monotonic()))
            again = _("Trying again in {seconds} s.").format(seconds=seconds) if seconds else _("Trying again ...")
            return f"{link.error.text()} {again}"
        if link.unseen:
            text = N_("libvirtd does not answer on {host}: VMs there go on, but nobody can steer them until it runs.")
            return _(text).format(host=link.unseen)
        return ""

    def show_keys(self) -> None:
        """The keys that act here now."""
        if not self.is_framed:
            return
        self.query_one("#keys", KeyBar).set_keys(
            self.hints(), (KeyHint("?", _("All keys"), press="?", short=_(N_("Keys"))),)
        )

    def on_bar_pressed(self, event: Bar.Pressed) -> None:
        """A piece of a line was clicked."""
        event.stop()
        kind, _sep, rest = event.press.partition(":")
        if kind == "section":
            self.context.desk.open_resource(rest, root=True)
        elif kind == "crumb":
            self._back_to(int(rest))
        elif kind == "tasks":
            self.app.call_later(self.app.run_action, "tasks")
        else:
            self.press_key(event.press)

    def _back_to(self, crumb: int) -> None:
        for _step in range(len(self.context.desk.crumbs()) - 1 - crumb):
            self.context.desk.back()

    def on_side_menu_chosen(self, event: SideMenu.Chosen) -> None:
        """An entry of the second-level menu was chosen."""
        event.stop()
        self.context.desk.open_resource(event.entry, root=True)

    # -- keys

    def on_key(self, event: events.Key) -> None:
        """Keys that widgets left alone."""
        word = event.character if event.is_printable and event.character else event.key
        if self.press_key(word):
            event.stop()
            event.prevent_default()

    def press_key(self, word: str) -> bool:
        """Do what a key does here; False when it does nothing.

        Args:
            word: the character, or Textual's name of the key when it is none.
        """
        if word == "escape":
            self.context.desk.back()
        elif word.isdigit() and 1 <= int(word) <= len(self.sections):
            self.context.desk.open_resource(self.sections[int(word) - 1].resources[0], root=True)
        elif word in ("[", "]"):
            self._neighbour(1 if word == "]" else -1)
        else:
            return False
        return True

    def _neighbour(self, step: int) -> None:
        section = self.section
        if section is not None and len(section.resources) > 1:
            at = section.resources.index(self.resource_name)
            self.context.desk.open_resource(section.resources[(at + step) % len(section.resources)], root=True)

    def all_keys(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """Every key that acts here, by group, for the list of all keys."""
        here = [(hint.key, f"{hint.label} ({hint.why})" if hint.why else hint.label) for hint in self.hints()]
        return [(_("Here"), here), (_("Everywhere"), everywhere())]


def everywhere() -> list[tuple[str, str]]:
    """The keys that act on every screen."""
    return [
        (key, _(label))
        for key, label in (
            ("Esc", N_("back one step")),
            ("1 - 9", N_("section of the menu")),
            ("[ ]", N_("previous, next list of the section")),
            (":", N_("go to a screen or an object by name")),
            ("Ctrl+P", N_("find any action, screen or object")),
            ("?", N_("all keys")),
            ("F1", N_("help")),
            ("F2", N_("menu")),
            ("F3", N_("tasks started here")),
            ("F5, r", N_("look again now")),
            ("F6", N_("English, 中文")),
            ("F7", N_("colours")),
            ("F10", N_("log out")),
            ("Ctrl+L", N_("write the whole screen again")),
            ("Ctrl+Q", N_("leave; tasks go on without the console")),
        )
    ]
