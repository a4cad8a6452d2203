"""Everything that can go wrong and be told to a person.

::

    DosvmError
    ├── InvalidInput          a value breaks a rule; names the field
    ├── UsageError            the command line was wrong (exit code 2)
    ├── NotFound              no such object, or not one of yours
    ├── PermissionDenied      your role may not do this
    ├── AuthenticationFailed  wrong account or password, or the session ended
    ├── PasswordChangeRequired the first password must be changed first
    ├── Refused               the state of things forbids it
    │   ├── AlreadyExists     the name is taken
    │   ├── InUse             something still uses it
    │   │   └── NeedsConsent  somebody loses by it: it is done when that is said to be meant
    │   ├── Elsewhere         it goes on at another host only, which is named
    │   └── QuotaExceeded     a limit would be passed; says which and by how much
    ├── Conflict              somebody else changed it meanwhile
    ├── Unavailable           a part of the system cannot be reached
    │   ├── DatabaseUnavailable
    │   ├── HostdUnavailable
    │   │   └── TlsFailed     it is there, but the two sides do not trust or understand each other
    │   └── HypervisorUnavailable
    └── EngineError           libvirt, QEMU or the kernel failed at what was asked

A sentence is an English template with named parameters (``"{name} is taken"``) so that it can be
translated where it is shown; the remedy says what the reader can do about it. A parameter may be a list of
such sentences, each ``{"message": template, "parameters": {...}}``: they are shown one after the other. One made by
:func:`fields` is shown as the labels that forms have for these fields, where there are forms; one made by
:func:`instant` in the zone of its reader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from core.i18n import N_, _, sentences

if TYPE_CHECKING:
    from datetime import datetime


class DosvmError(Exception):
    """An error with a sentence for its reader: what is wrong, at which field, and what to do."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, field: str | None = None, remedy: str | None = None, **parameters: Any) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.remedy = remedy
        self.parameters = parameters

    def text(self) -> str:
        """The whole sentence, remedy included, in the language now set."""
        known = {"field": self.field or "", **self.parameters}
        parts = [_format(self.message, known)]
        if self.remedy:
            parts.append(_format(self.remedy, known))
        return sentences(*parts)

    def __str__(self) -> str:
        return self.text()

    def to_wire(self) -> dict[str, Any]:
        """The error as JSON data; :func:`from_wire` restores it."""
        return {
            "code": self.code,
            "message": self.message,
            "field": self.field,
            "remedy": self.remedy,
            "parameters": dict(self.parameters),
        }


#: What the reader's forms call a key of an operation; a daemon has no forms and says the keys.
_label: Callable[[str, str], str] = lambda _operation, key: key  # noqa: E731


def label_fields_by(label: Callable[[str, str], str]) -> None:
    """Have the fields in errors called as forms call them: ``label`` gives an operation's key its name, translated."""
    global _label
    _label = label


def fields(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """A parameter that names fields: pairs of an operation that takes them and the key."""
    return {"fields": [list(pair) for pair in dict.fromkeys(pairs)]}


def instant(at: datetime) -> dict[str, Any]:
    """A parameter that is a time (UTC, naive): shown in the zone of its reader."""
    return {"time": at.isoformat()}


def _local(text: str) -> str:
    from core.clock import local_time  # few errors speak of a time

    return f"{local_time(text):%Y-%m-%d %H:%M}"


def _labelled(pairs: Iterable[Any]) -> str:
    return ", ".join(dict.fromkeys(_label(str(operation), str(key)) for operation, key in pairs))


def _format(template: str, parameters: dict[str, Any]) -> str:
    shown = dict(parameters)
    if isinstance(shown.get("kind"), str):
        shown["kind"] = _(shown["kind"])  # the one parameter that is a text of ours: what kind of object it is
    for name, value in parameters.items():
        if isinstance(value, list):
            shown[name] = sentences(*(sentence(element) for element in value))
        elif isinstance(value, dict) and "fields" in value:
            shown[name] = _labelled(value["fields"])
        elif isinstance(value, dict) and "time" in value:
            shown[name] = _local(str(value["time"]))
    try:
        return _(template).format(**shown)
    except (KeyError, IndexError, ValueError):
        return template


def sentence(value: Any) -> str:
    """A sentence ``{"message": template, "parameters": {...}}`` in the language now set; anything else as it is."""
    if not isinstance(value, dict):
        return str(value)
    inner = value.get("parameters")
    return _format(str(value.get("message", "")), inner if isinstance(inner, dict) else {})


class InvalidInput(DosvmError):
    """A value breaks a rule."""

    code = "invalid"


class UsageError(DosvmError):
    """The command line was wrong."""

    code = "usage"


class NotFound(DosvmError):
    """There is no such object, or it is not one the caller may see."""

    code = "not-found"


class PermissionDenied(DosvmError):
    """The caller's role may not do this."""

    code = "denied"


class AuthenticationFailed(DosvmError):
    """Wrong account or password, or the session has ended."""

    code = "authentication"


class PasswordChangeRequired(DosvmError):
    """The password must be changed before anything else."""

    code = "change-password"


class Refused(DosvmError):
    """The state of things forbids what was asked."""

    code = "refused"


class AlreadyExists(Refused):
    """The name is taken."""

    code = "exists"


class InUse(Refused):
    """Something still uses the object."""

    code = "in-use"


class NeedsConsent(InUse):
    """It would take something away elsewhere, and is done when somebody says that it is meant.

    The parameter ``argument`` is what says so to the operation; ``question`` and ``answer`` are the template of what is
    asked first, and the word for yes; ``agreed`` is what the argument is given then (True unless it is there), so that
    it covers nothing else.
    """

    code = "needs-consent"

    def question(self) -> str:
        """What is to be asked, in the language now set."""
        return _format(str(self.parameters.get("question", "")), self.parameters)


class Elsewhere(Refused):
    """It goes on at another host only: the parameter ``host`` is its name, ``at`` its UUID."""

    code = "elsewhere"


class QuotaExceeded(Refused):
    """A limit would be passed."""

    code = "quota"


class Conflict(DosvmError):
    """Somebody else changed the object meanwhile."""

    code = "conflict"


def overtaken() -> Conflict:
    """What to raise when another transaction was faster."""
    return Conflict(N_("Somebody else changed the same thing at this moment."), remedy=N_("Look again and repeat it."))


class Unavailable(DosvmError):
    """A part of the system cannot be reached now."""

    code = "unavailable"


class DatabaseUnavailable(Unavailable):
    """The database does not answer."""

    code = "database"

    def __init__(self, reason: str = "") -> None:
        super().__init__(
            N_("The database does not answer: {reason}."),
            remedy=N_("Running VMs are not affected; it is tried again by itself."),
            reason=reason,
        )


class HostdUnavailable(Unavailable):
    """The daemon of a host does not answer."""

    code = "hostd"

    def __init__(self, where: str = "") -> None:
        super().__init__(
            N_("hostd does not answer at {where}."),
            remedy=N_("Start it with `dosvm hostd run`, or look at its log."),
            where=where,
        )


#: What is to be done about the commonest of them.
BOTH_OR_NEITHER = N_(
    "Switch TLS on at both sides or at neither: use_ssl in dosvm.toml of the host, SSL in the console."
)


class TlsFailed(HostdUnavailable):
    """A hostd is there, but the two sides do not trust each other, or one of them talks without TLS."""

    code = "tls"

    def __init__(self, message: str, remedy: str | None = None, **parameters: Any) -> None:
        DosvmError.__init__(self, message, remedy=remedy, **parameters)


class HypervisorUnavailable(Unavailable):
    """libvirtd does not answer."""

    code = "libvirt"

    def __init__(self, reason: str = "") -> None:
        super().__init__(
            N_("libvirtd does not answer on this host: {reason}."),
            remedy=N_("Start it with `systemctl start libvirtd`; hostd reconnects by itself."),
            reason=reason,
        )


class EngineError(DosvmError):
    """libvirt, QEMU or the kernel failed at what was asked."""

    code = "engine"


def _classes(base: type[DosvmError]) -> dict[str, type[DosvmError]]:
    found = {base.code: base}
    for child in base.__subclasses__():
        found |= _classes(child)
    return found


def from_wire(data: dict[str, Any]) -> DosvmError:
    """Restore an error from :meth:`DosvmError.to_wire`; an unknown code gives a plain error."""
    cls = _classes(DosvmError).get(str(data.get("code")), DosvmError)
    error = cls.__new__(cls)
    message = str(data.get("message", ""))
    parameters = data.get("parameters")
    Exception.__init__(error, message)
    # Not by __init__: a sentence may have a parameter named like one of its arguments ("{field} is missing.").
    error.message = message
    error.field = data.get("field")
    error.remedy = data.get("remedy")
    error.parameters = dict(parameters) if isinstance(parameters, dict) else {}
    return error
