"""What is asked before somebody leaves the console, or logs out of it: what would be lost by that."""

from __future__ import annotations

from collections.abc import Callable

from core.i18n import N_, _, ngettext
from screens.context import Context
from screens.generic.confirm import LISTED, Confirm

#: The identity of the question, of which there is one at most.
QUESTION = "leave-question"


def question(context: Context, title: str, *, unsaved: bool) -> Confirm:
    """Ask whether to go although something typed is not saved, or files are being sent.

    Args:
        context: the console's.
        title: what somebody is about to do (msgid); the button that does it says so, too.
        unsaved: whether something was typed that is not saved.
    """

    def words(text: str) -> Callable[[], str]:
        return lambda: _(text)

    def text() -> str:
        parts = [_(N_("What you typed is not saved. Leave, and throw it away?"))] if unsaved else []
        if context.tasks.sending:
            parts.append(_sending(context))
        return "\n\n".join(parts)

    asked = Confirm(context, words(title), text, words(title))
    asked.id = QUESTION
    return asked


def _sending(context: Context) -> str:
    """Which files are being sent, and how far each is."""
    sending = context.tasks.sending
    lines = [f"  {sent.what} {sent.name}: {sent.progress:.0f}%  {sent.detail}".rstrip() for sent in sending[:LISTED]]
    if (more := len(sending) - LISTED) > 0:
        lines.append("  " + _(N_("and {count} more")).format(count=more))
    head = ngettext("A file is being sent from here:", "Files are being sent from here:", len(sending))
    end = _(N_("That is broken off. What has arrived stays for a day, and the same upload goes on with it."))
    return "\n".join((head, *lines, end))
