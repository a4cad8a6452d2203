"""From an empty cloud to one that runs a VM: one form, one task, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textual.app import ComposeResult
from textual.widget import Widget

from core.i18n import N_, _, sentences
from screens import registry
from screens.base import BaseDialog
from screens.context import Context
from screens.generic.confirm import Confirm
from screens.generic.form_dialog import FormDialog
from screens.spec import Action, Kind, ResourceSpec, Row
from screens.taskbook import ENDED, Followed
from widgets.chart import Gauge
from widgets.paragraph import Paragraph
from widgets.push_button import PushButton

#: What is made, in the order it is made: the field whose value names it, msgid.
MADE = (
    ("group", N_("project group {name}")),
    ("project", N_("project {name}")),
    ("admin", N_("its administrator {name}")),
    ("host_group", N_("host group {name} with this host")),
    ("pool", N_("storage pool {name}")),
)


def offer(context: Context) -> None:
    """Ask whether this machine is to become a cloud of one host."""
    question = Offer(context)
    context.desk.show(question, lambda yes: FirstRun.open(context) if yes else None)


class Offer(Confirm):
    """The question of the first login; nothing is harmed by yes, so the focus rests on it."""

    BOX_CLASSES = ""

    def __init__(self, context: Context) -> None:
        """Bind it to the context."""
        super().__init__(
            context,
            lambda: _(N_("This cloud is empty")),
            lambda: _(
                N_(
                    "Shall this machine become a cloud of one host? A project with its administrator, a storage pool,"
                    " and if you like a sample instance that boots at once are made in one go; you see every name first"
                    " and can change it.\n\nYou can also do this later: press : and type prepare."
                )
            ),
            lambda: _(N_("Yes, show me")),
        )

    def buttons(self) -> list[Widget]:
        """Later, and yes."""
        return [PushButton(_(N_("Later")), "no", id="no"), PushButton(_("Yes, show me"), "yes", id="yes")]

    def rests_on(self) -> str:
        """On yes: nothing is harmed by it."""
        return "#yes"

    def retranslate(self) -> None:
        """See :class:`screens.base.BaseDialog`."""
        super().retranslate()
        self.query_one("#no", PushButton).set_label(_("Later"))


class FirstRun(FormDialog):
    """The form with every name filled in."""

    def __init__(self, context: Context, spec: ResourceSpec, _row: Row | None = None) -> None:
        """Make the form of the declared action."""
        action = prepare_action(spec)

        def submit(typed: dict[str, Any], _changed: set[str]) -> dict[str, Any]:
            arguments = {key: value for key, value in typed.items() if value is not None}
            made = context.backend.call(action.operation, **arguments)
            secret = {field.key for field in action.fields if field.kind is Kind.SECRET}
            return {**made, "typed": {key: value for key, value in typed.items() if key not in secret}}

        super().__init__(
            context,
            lambda: _(N_("Make this machine a cloud of one host")),
            action.fields,
            submit,
            button=lambda: _(N_("Make it")),
        )

    @classmethod
    def open(cls, context: Context) -> None:
        """Show the form, and then what becomes of it."""
        form = cls(context, registry.resource("cloud"))
        context.desk.show(form, form.made)

    def made(self, result: Mapping[str, Any] | None) -> None:
        """Show the progress and what to do next."""
        if not result:
            return
        typed = result["typed"]
        # The last is the sample image's, where there is one.
        pool, *more = [str(task) for task in result["tasks"]]
        self.context.desk.follow(pool, N_("Make the storage pool ready"), str(typed["pool"]))
        for task in more:
            self.context.desk.follow(task, N_("Install the sample image"), str(typed["project"]))
        self.context.desk.show(WhatNext(self.context, typed, pool, *more), lambda _result: None)


def prepare_action(spec: ResourceSpec) -> Action:
    """The declared action that makes it."""
    return next(action for action in spec.actions if action.verb == "prepare")


class WhatNext(BaseDialog[None]):
    """What was made, how far the sample image is, and what to do now."""

    BOX_CLASSES = "-wide"
    DEFAULT_CSS = """
    WhatNext Paragraph { margin-bottom: 1; }
    """

    def __init__(self, context: Context, typed: Mapping[str, Any], pool: str, sample: str = "") -> None:
        """Make it.

        Args:
            context: the context.
            typed: the values of the form.
            pool: the task that makes the storage pool ready.
            sample: the task that installs the sample image; empty when there is none.
        """
        super().__init__(context)
        self._typed = typed
        self._pool, self._sample = pool, sample
        self._failed: set[str] = set()

    def title_text(self) -> str:
        """See :class:`widgets.dialog.Dialog`."""
        return _(N_("This machine is a cloud now"))

    def body(self) -> ComposeResult:
        """What was made, the progress, what next."""
        yield Paragraph(self._made(), id="made")
        yield Gauge(26, 20)
        yield Paragraph("", id="state")
        yield Paragraph(self._next(), id="next", classes="-strong")

    def _made(self) -> str:
        made = [(key, text) for key, text in MADE if key != "pool" or self._pool not in self._failed]
        names = [_(text).format(name=self._typed.get(key, "")) for key, text in made]
        return _(N_("Made: {names}.")).format(names=", ".join(names))

    def _next(self) -> str:
        if not self._sample or self._sample in self._failed:
            return _(
                N_(
                    "Now log out (F10), log in as {admin} with the password you just gave, and add a volume, an"
                    " instance that uses it, and a VM of the instance; press p on the VM to see it run."
                )
            ).format(admin=self._typed.get("admin", ""))
        return _(
            N_(
                "Now log out (F10), log in as {admin} with the password you just gave, open VMs (in the menu under"
                " Machines), and press p on the sample VM to see it run; its screen address is in the list."
            )
        ).format(admin=self._typed.get("admin", ""))

    def buttons(self) -> list[Widget]:
        """Log in as the administrator, or stay."""
        return [
            PushButton(_(N_("Stay")), "stay", id="stay"),
            PushButton(self._log_in(), "go", id="go"),
        ]

    def _log_in(self) -> str:
        return _(N_("Log in as {admin}")).format(admin=self._typed.get("admin", ""))

    def on_mount(self) -> None:
        """Follow the task."""
        self.tasks_changed()
        self.query_one("#go").focus()

    def tasks_changed(self) -> None:
        """There are news of the tasks."""
        if not self.query(Gauge):
            return
        pool, sample = (self.context.tasks.get(task) for task in (self._pool, self._sample))
        self._failed = {
            task.uuid for task in (pool, sample) if task is not None and task.state in ("failed", "cancelled")
        }
        waits = next((task for task in (sample, pool) if task is not None and task.state not in ENDED), None)
        gauge = self.query_one(Gauge)
        gauge.set(waits.what if waits else "", waits.progress / 100 * 0.79 if waits else None, "")
        gauge.display = waits is not None
        self.query_one("#state", Paragraph).set("\n".join(self._said(pool, sample)))
        self.query_one("#made", Paragraph).set(self._made())
        self.query_one("#next", Paragraph).set(self._next())

    def _said(self, pool: Followed | None, sample: Followed | None) -> list[str]:
        """How the tasks ended, as far as they have."""
        said = []
        if pool is not None and pool.uuid in self._failed:
            text = _(N_("The storage pool could not be made: {error}")).format(error=pool.error)
            remedy = _(N_("Add another one under Pools, and give it to project {project}."))
            said.append(sentences(text, remedy.format(project=self._typed.get("project", ""))))
        if sample is not None and sample.state == "done":
            said.append(_(N_("The sample image is installed.")))
        elif sample is not None and sample.uuid in self._failed:
            said.append(_(N_("The sample image could not be installed: {error}")).format(error=sample.error))
        return said

    def on_push_button_pressed(self, event: PushButton.Pressed) -> None:
        """Go or stay."""
        event.stop()
        self.dismiss(None)
        if event.press == "go":
            self.context.desk.log_out(str(self._typed.get("admin", "")))

    def retranslate(self) -> None:
        """See :class:`screens.base.BaseDialog`."""
        super().retranslate()
        self.query_one("#stay", PushButton).set_label(_("Stay"))
        self.query_one("#go", PushButton).set_label(self._log_in())
        self.tasks_changed()
