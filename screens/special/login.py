"""Logging in, and changing a first password."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.screen import Screen

from core.errors import DosvmError
from core.i18n import LANGUAGES, N_, _, language
from screens.base import Asking
from screens.context import Context, is_away
from screens.generic.fields import form_fields, form_texts
from screens.spec import Field, Kind
from widgets.bar import Bar, Piece
from widgets.form import Form
from widgets.glyphs import glyphs
from widgets.paragraph import Paragraph
from widgets.push_button import PushButton

#: After how many seconds of checking one is told that wrong passwords slow it down.
SLOW = 1.5
ACCOUNT = Field("account", N_("Account"), required=True)
PASSWORD = Field("password", N_("Password"), Kind.SECRET, required=True)


class _Gate(Asking, Screen[Any]):
    """What the screens before the console have in common: a box with a form in the middle of nothing."""

    DEFAULT_CSS = """
    _Gate { align: center middle; background: $background; }
    _Gate #frame {
        width: 64; max-width: 100%; height: auto; max-height: 100%; padding: 1 3;
        background: $panel; border: round $primary;
    }
    _Gate #frame.-plain { border: ascii $primary; }
    _Gate #title { text-style: bold; }
    _Gate #said { margin: 1 0; }
    _Gate #wrong { margin-top: 1; }
    _Gate Form { margin-top: 1; }
    _Gate #buttons { height: 1; align-horizontal: right; margin-top: 1; }
    _Gate #foot { dock: bottom; background: $panel; }
    """
    FIELDS: tuple[Field, ...] = ()

    def __init__(self, context: Context) -> None:
        """Bind it to the context."""
        super().__init__(classes="gate")
        self.context = context
        self._under_way = self._is_slow = False
        self._error: DosvmError | None = None
        self._at_field: DosvmError | None = None

    def compose(self) -> ComposeResult:
        """The box."""
        with Vertical(id="frame") as frame:
            frame.set_class(not glyphs().braille, "-plain")
            yield Paragraph(self.title_text(), id="title")
            yield Paragraph(self.said(), id="said", classes="-muted")
            yield Form(form_fields(self.FIELDS, self.prefill()), form_texts(), id="form")
            yield Paragraph("", id="wrong", classes="-error")
            with Horizontal(id="buttons"):
                yield PushButton(self.button(), "send", id="send")
        yield Bar(id="foot")

    def on_mount(self) -> None:
        """Fill the last line."""
        self._show_foot()

    def title_text(self) -> str:
        """What it is."""
        raise NotImplementedError

    def said(self) -> str:
        """What it is for."""
        return ""

    def button(self) -> str:
        """The word of the button."""
        raise NotImplementedError

    def prefill(self) -> Mapping[str, Any] | None:
        """What is typed already."""
        return None

    def _show_foot(self) -> None:
        pieces = []
        for code, name in LANGUAGES.items():
            pieces.append(Piece(f" {name} ", "chosen" if code == language() else "muted", f"language:{code}"))
        keys = f"F6 {_(N_('language'))}  F7 {_(N_('colours'))}  Ctrl+Q {_(N_('leave'))} "
        self.query_one("#foot", Bar).set(pieces, [Piece(keys, "muted")])

    def on_bar_pressed(self, event: Bar.Pressed) -> None:
        """A language was clicked."""
        event.stop()
        self.context.desk.choose_language(event.press.partition(":")[2])

    def on_push_button_pressed(self, event: PushButton.Pressed) -> None:
        """Send it."""
        event.stop()
        self.send()

    def key_ctrl_s(self) -> None:
        """Send it."""
        self.send()

    def on_form_completed(self) -> None:
        """Enter in the last field sends it."""
        self.send()

    def send(self) -> None:
        """Check, and send what is right."""
        form = self.query_one(Form)
        if self._under_way or not form.check():
            return
        self._under_way, self._is_slow, self._at_field = True, False, None
        self._say_error(None)
        self.set_timer(SLOW, self._say_slow)
        self.begin(form.values())

    def begin(self, typed: Mapping[str, Any]) -> None:
        """Ask the cloud."""
        raise NotImplementedError

    def refused(self, error: DosvmError) -> None:
        """Say what is wrong, at its field if it has one."""
        self._under_way = False
        form = self.query_one(Form)
        self._at_field = error if error.field else None
        is_told = bool(error.field) and form.set_error(str(error.field), error.text())
        self._say_error(None if is_told else error)

    def on_form_touched(self) -> None:
        """What was wrong with a field is so no more."""
        self._at_field = None

    def _say_error(self, error: DosvmError | None) -> None:
        self._error = error
        text = error.text() if error else ""
        if self._under_way and self._is_slow:
            text = _(N_("Checking ... (after wrong passwords this takes longer)"))
        self.query_one("#wrong", Paragraph).set(text)

    def _say_slow(self) -> None:
        if self._under_way:
            self._is_slow = True
            self._say_error(None)

    def retranslate(self) -> None:
        """Say everything in the language now set; what was typed stays."""
        self.query_one("#title", Paragraph).set(self.title_text())
        self.query_one("#said", Paragraph).set(self.said())
        self.query_one(Form).relabel(form_fields(self.FIELDS, self.prefill()), form_texts())
        self.query_one("#send", PushButton).set_label(self.button())
        if self._at_field is not None and self._at_field.field:
            self.query_one(Form).say_at(self._at_field.field, self._at_field.text())
        self._say_error(self._error)
        self._show_foot()


class Login(_Gate):
    """Account and password. ``then`` takes the user's row."""

    FIELDS = (ACCOUNT, PASSWORD)

    def __init__(
        self, context: Context, then: Callable[[Mapping[str, Any]], None], account: str = "", why: str = ""
    ) -> None:
        """Make it.

        Args:
            context: the context.
            then: called with the user's own row once somebody is logged in.
            account: typed already.
            why: msgid of why it is asked again.
        """
        super().__init__(context)
        self._then = then
        self._account = account
        self._why = why

    def title_text(self) -> str:
        """See the base."""
        return _(N_("DOSVM - virtual machines")) if not self._why else _(N_("Log in again"))

    def said(self) -> str:
        """See the base."""
        return _(self._why) if self._why else _(N_("Log in with your account."))

    def button(self) -> str:
        """See the base."""
        return _(N_("Log in"))

    def prefill(self) -> Mapping[str, Any] | None:
        """See the base."""
        return {"account": self._account} if self._account else None

    def on_mount(self) -> None:
        """The focus is where something must be typed."""
        if self._account:
            self.call_after_refresh(lambda: self.query_one(Form).focus_field("password"))

    def begin(self, typed: Mapping[str, Any]) -> None:
        """See the base."""
        account, password = typed["account"], typed["password"]
        self.ask(lambda: self.context.backend.login(account, password), self._in, self.refused)

    def refused(self, error: DosvmError) -> None:
        """A wrong password is typed anew; one that nobody looked at stays, to be sent again once somebody is there."""
        super().refused(error)
        if is_away(error):
            self._say_away()
            return
        form = self.query_one(Form)
        form.rows["password"].input.put(None)
        form.focus_field("password")

    def _say_away(self) -> None:
        stays = _(N_("What you typed stays: Enter sends it again."))
        if self._error is not None:
            self.query_one("#wrong", Paragraph).set(f"{self._error.text()} {stays}")
        self.query_one("#send", PushButton).focus()

    def retranslate(self) -> None:
        """See the base."""
        super().retranslate()
        if self._error is not None and is_away(self._error):
            self._say_away()

    def _in(self, user: Mapping[str, Any]) -> None:
        self._under_way = False
        self._then(user)


class ChangePassword(_Gate):
    """The first password must be changed before anything else. ``then`` is called when it is."""

    FIELDS = (
        Field("old_password", N_("Present password"), Kind.SECRET, required=True),
        Field(
            "new_password",
            N_("New password"),
            Kind.SECRET,
            required=True,
            rule="password",
            twice=True,
            hint=N_("8 to 128 characters."),
        ),
    )

    def __init__(self, context: Context, then: Callable[[], None]) -> None:
        """Make it."""
        super().__init__(context)
        self._then = then

    def title_text(self) -> str:
        """See the base."""
        return _(N_("Choose a new password"))

    def said(self) -> str:
        """See the base."""
        return _(N_("This password was made by somebody else. Choose your own, of 8 to 128 characters, and go on."))

    def button(self) -> str:
        """See the base."""
        return _(N_("Change password"))

    def begin(self, typed: Mapping[str, Any]) -> None:
        """See the base."""
        arguments = {key: typed[key] for key in ("old_password", "new_password")}
        self.ask(
            lambda: self.context.backend.call("profile.change-password", **arguments),
            lambda _row: self._changed(),
            self.refused,
        )

    def _changed(self) -> None:
        self._under_way = False
        self._then()
