"""The console parameters (manual 13.2.2): shown, edited after a test of the connection, and tested."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.errors import DosvmError
from core.i18n import N_, _
from core.rpc import ways
from core.rpc.parameters import present, row, save, told
from screens import registry
from screens.context import Context
from screens.generic.form_dialog import FormDialog
from screens.generic.resource_detail import ResourceDetail
from screens.generic.viewer import Viewer
from screens.resources.console_settings import FIELDS
from screens.spec import ResourceSpec, Row
from widgets.bar import KeyHint
from widgets.field_list import Fact


class ConsoleParameters(ResourceDetail):
    """The parameters; they are read from this machine's file, whatever the cloud does."""

    def __init__(self, context: Context, spec: ResourceSpec, _row: Row | None = None) -> None:
        """Make it."""
        super().__init__(context, spec, row())

    def look_again(self) -> None:
        """See :class:`screens.generic.resource_detail.ResourceDetail`."""
        if self.is_framed:
            self.row = row()
            self.show_row()

    def hints(self) -> Sequence[KeyHint]:
        """What can be done."""
        return [hint for hint in super().hints() if hint.key != "y"]

    def press_key(self, word: str) -> bool:
        """There is nothing of the cloud to show as YAML."""
        return word != "y" and super().press_key(word)


class EditParameters(FormDialog):
    """The form; it is saved once a host has answered."""

    @classmethod
    def open(cls, context: Context) -> None:
        """Show the form, and say what came of it."""
        before = present()
        prefill = {
            "hosts": list(before.hosts),
            "use_ssl": before.use_ssl,
            "ssl_cert": before.ssl_cert,
            "ssl_key": before.ssl_key,
            "ssl_ca": before.ssl_ca,
        }
        form = cls(
            context,
            lambda: _(N_("Console parameters")),
            FIELDS,
            lambda typed, _changed: {"tried": save(typed)},
            prefill=prefill,
            button=lambda: _(N_("Test and save")),
        )

        def saved(result: Mapping[str, Any] | None) -> None:
            if result is not None:
                context.desk.notice(_(N_("Saved; it counts from now on.")))

        context.desk.show(form, saved)

    def _refused(self, error: DosvmError) -> None:
        # A host that is tried here and does not answer says nothing of the one the console talks to.
        super()._refused(DosvmError("{text}", field=error.field, text=error.text()))


class TestConnection(Viewer):
    """Each host, and how it answers."""

    __test__ = False  # pytest takes it for a test otherwise

    def __init__(self, context: Context, title: Callable[[], str]) -> None:
        """Make it."""
        self._tried: list[ways.Tried] | None = None
        self._error: DosvmError | None = None
        super().__init__(context, title, self._lines)

    @classmethod
    def open(cls, context: Context) -> None:
        """Show it, and ask."""
        context.desk.show(cls(context, lambda: _(registry.resource("console-settings").title)))

    def on_mount(self) -> None:
        """Ask all of them."""
        path = ways.settings_file()
        self.ask(lambda: ways.try_all(ways.load(path), path.parent), self._came, self._failed)

    def _came(self, tried: list[ways.Tried]) -> None:
        self._tried = tried
        self._show()

    def _failed(self, error: DosvmError) -> None:
        self._error = error
        self._show()

    def _lines(self) -> list[Fact]:
        if self._error is not None:
            return [Fact("", self._error.text(), "error")]
        if self._tried is None:
            return [Fact("", _(N_("Asking ...")))]
        return [Fact(one.where, told(one), "error" if one.error else "success") for one in self._tried]
