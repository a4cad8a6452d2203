"""The one declaration of a resource, read by five users: list screen, form, palette and help, command line, tests.

Data only: no Textual, no database. Texts are English msgids (``N_``), translated where they are shown.
What a resource needs beyond this it gets by a screen of its own in ``screens/special``, not by a new knob.
Named tuples, because every command loads this: dataclasses cost a command a quarter of its start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from core.i18n import N_

#: A row as an operation returned it: JSON data.
Row = Mapping[str, Any]

SYSADM = "sysadm"
PROJECT = "project"
BOTH = (SYSADM, PROJECT)
_NOTHING: Mapping[str, Any] = {}


class Kind(StrEnum):
    """What a value is: decides how it is shown, typed in, sorted and aligned."""

    TEXT = "text"
    MULTILINE = "multiline"
    XML = "xml"
    INTEGER = "integer"
    SIZE = "size"  # bytes; typed with a unit, shown in the largest that fits
    RATE = "rate"  # bytes per second
    PERCENT = "percent"
    BOOLEAN = "boolean"
    TIME = "time"  # UTC "YYYY-MM-DDTHH:MM:SS[.ffffff]"; shown local
    DURATION = "duration"  # seconds
    RUN_TIME = "run-time"  # seconds that add up, shown to the second
    STATE = "state"  # a word with a sign: see STATE_SIGNS
    CHOICE = "choice"
    UPLOAD = "upload"  # the path of a file here, whose bytes follow; the operation gets their number
    SECRET = "secret"  # never shown, never prefilled
    REFERENCE = "reference"  # the row of another resource, picked from its list
    REFERENCES = "references"  # several of them
    MEMBERS = "members"  # rows of a name and a state, to be read only
    ROWS = "rows"  # a table inside the form
    TITLE = "title"  # a title; of what was found, lists leave out the UUID of the pool behind its name
    TARGET = (
        "target"  # the name of what was acted on; of a clearing it is the time before which, kept as UTC, shown local
    )
    CONTENTS = "contents"  # what a row of the log changed: see :mod:`screens.telling`
    LIST = "list"  # several texts; as a field: words of ``choices`` in the order typed, with commas


#: The sign and colour role of each state word. Colours only help: sign and word tell.
STATE_SIGNS: Mapping[str, tuple[str, str]] = {
    "running": ("●", "success"),
    "up": ("●", "success"),
    "present": ("●", "success"),
    "active": ("●", "success"),
    "done": ("●", "success"),
    "starting": ("◐", "warning"),
    "stopping": ("◐", "warning"),
    "creating": ("◐", "warning"),
    "merging": ("◐", "warning"),
    "uploading": ("◐", "warning"),
    "deleting": ("◐", "warning"),
    "queued": ("◌", "muted"),
    "paused": ("‖", "warning"),
    "halted": ("‖", "error"),
    "saved": ("▪", "muted"),
    "off": ("○", "muted"),
    "inactive": ("○", "muted"),
    "disabled": ("○", "muted"),
    "frozen": ("○", "muted"),
    "cancelled": ("○", "muted"),
    "unknown": ("?", "muted"),
    "valid": ("●", "success"),
    "soon": ("!", "warning"),
    "early": ("✗", "error"),
    "expired": ("✗", "error"),
    "draining": ("◐", "warning"),
    "drained": ("○", "warning"),
    "down": ("✗", "error"),
    "impaired": ("✗", "error"),
    "failed": ("✗", "error"),
    "missing": ("✗", "error"),
    "foreign": ("?", "warning"),
    "restorable": ("○", "muted"),
}

#: What people read for each state word.
STATE_WORDS: Mapping[str, str] = {
    "running": N_("running"),
    "up": N_("up"),
    "present": N_("present"),
    "active": N_("active"),
    "done": N_("done"),
    "starting": N_("starting"),
    "stopping": N_("stopping"),
    "creating": N_("creating"),
    "merging": N_("merging"),
    "uploading": N_("uploading"),
    "deleting": N_("deleting"),
    "queued": N_("queued"),
    "paused": N_("paused"),
    "halted": N_("I/O error"),
    "saved": N_("saved"),
    "off": N_("off"),
    "inactive": N_("inactive"),
    "disabled": N_("disabled"),
    "frozen": N_("frozen"),
    "cancelled": N_("cancelled"),
    "unknown": N_("unknown"),
    "valid": N_("valid"),
    "soon": N_("ends soon"),
    "early": N_("not valid yet"),
    "expired": N_("expired"),
    "draining": N_("draining"),
    "drained": N_("drained"),
    "down": N_("down"),
    "impaired": N_("impaired"),
    "failed": N_("failed"),
    "missing": N_("missing"),
    "foreign": N_("foreign"),
    "restorable": N_("restorable"),
}


class Column(NamedTuple):
    """One column of a list and one line of the details.

    Attributes:
        key: the key in the row.
        title: msgid.
        width: cells in the list; the name column takes what is left over.
        kind: how the value is shown.
        from_width: narrowest terminal, in cells, on which the list shows it.
        sort: whether the list operation can sort by ``key``.
        unsorted: msgid; why it cannot, where that is not just that its values are worked out for the rows on screen.
        live: the value ages when its host is silent; greyed then.
        details_only: not in the list.
        list_only: not in the details.
        words: for CHOICE and LIST values: value -> msgid.
        short: msgid; the heading in a list, where the column before it says what it is of.
    """

    key: str
    title: str
    width: int = 12
    kind: Kind = Kind.TEXT
    from_width: int = 0
    sort: bool = True
    live: bool = False
    details_only: bool = False
    list_only: bool = False
    roles: tuple[str, ...] = BOTH
    words: Mapping[str, str] = _NOTHING
    short: str = ""
    unsorted: str = ""

    @property
    def sorts(self) -> bool:
        """Whether the list operation sorts by it: texts of several lines have no order that says anything."""
        return self.sort and self.kind not in (Kind.MULTILINE, Kind.XML)

    @property
    def why_unsorted(self) -> str:
        """The msgid of why the list is not sorted by it."""
        return self.unsorted or N_("Its values are worked out for the rows on screen alone: no order of all rows.")

    @property
    def heading(self) -> str:
        """The msgid that stands over it in a list."""
        return self.short or self.title


class Finding(NamedTuple):
    """What is to be said of a value that somebody types: ``message`` is a msgid with ``parameters``."""

    message: str
    parameters: Mapping[str, Any] = _NOTHING
    wrong: bool = True
    """Whether the value is wrong, or only to be thought of."""


class Unfit(NamedTuple):
    """What makes an action senseless for a row: ``when`` looks at the row, ``why`` is the msgid that is then said."""

    when: Callable[[Row], bool]
    why: str


class Field(NamedTuple):
    """One input of a form and one option of a command.

    Attributes:
        key: the operation's argument; the option is ``--key`` with dashes unless ``option`` says otherwise.
        label: msgid.
        kind: which input.
        required: whether it must be given.
        default: value when left alone; a function that gives it where that depends on the machine.
        rule: name of a check in :mod:`core.rules` (``name``, ``display_name``, ``path``, ...); run as one
            types, and again by the service.
        hint: msgid; the rule in words, shown while the field has the focus and in ``--help``.
        against: looks at a value beside the row that the form began with, as one types; None when all is well. The
            service has the last word.
        unit: shown beside it, with the range when it has both a minimum and a maximum.
        choices: (value, msgid) pairs.
        fits: for CHOICE: whether one of them makes sense beside the values typed so far; the others are not shown.
        resource: for REFERENCE(S): the resource to pick from; its ``reference`` column is the value.
        filters: for REFERENCE(S): fixed filters of that list.
        also: for REFERENCE(S): keys of further columns of that list which are shown when one picks.
        beware: for REFERENCE(S): what is said, when one picks, of the rows for which it holds; they are offered.
        fields: for ROWS: the columns of the inner table; on the command line ``--option key=value,...``.
        row_key: for ROWS: the key that tells its rows apart, and by which the secrets in them are kept.
        row_rule: for ROWS: name of a rule between the fields of a row in :data:`core.rules.FORM_RULES`.
        when: shown only when this holds for the values typed so far.
        panel: msgid of the panel (tab) it is on; forms with panels show one at a time.
        option: name of the command-line option when it is not the key.
        positional: the command line takes it as a word of its own.
        minimum, maximum: for INTEGER and SIZE.
        own_password: the caller's own password, asked again; the command line has it already.
        twice: a new secret, to be typed twice in the console.
        command_line, console: whether it is offered there.
    """

    key: str
    label: str
    kind: Kind = Kind.TEXT
    required: bool = False
    default: Any = None
    rule: str | None = None
    hint: str = ""
    against: Callable[[Any, Row], Finding | None] | None = None
    unit: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    fits: Callable[[Any, Mapping[str, Any]], bool] | None = None
    resource: str | None = None
    filters: Mapping[str, Any] = _NOTHING
    also: tuple[str, ...] = ()
    beware: tuple[Unfit, ...] = ()
    fields: tuple[Field, ...] = ()
    row_key: str = ""
    row_rule: str = ""
    when: Callable[[Mapping[str, Any]], bool] | None = None
    panel: str = ""
    option: str | None = None
    positional: bool = False
    minimum: int | None = None
    maximum: int | None = None
    own_password: bool = False
    twice: bool = False
    command_line: bool = True
    console: bool = True

    @property
    def initial(self) -> Any:
        """The value when left alone."""
        return self.default() if callable(self.default) else self.default


class Danger(StrEnum):
    """How much a person is asked before it happens."""

    NONE = "none"
    CONFIRM = "confirm"  # what, which; focus on No
    TYPE_NAME = "type-name"  # the object's name must be typed


class Target(StrEnum):
    """What an action acts on."""

    NOTHING = "nothing"  # a new object, or the whole list
    ROW = "row"
    ROWS = "rows"  # each marked row; the report is per row


class Action(NamedTuple):
    """Something one can do, by key, by palette and by command.

    Attributes:
        verb: the command's verb, and with the resource's name the palette's entry.
        label: msgid, imperative.
        short: msgid; the label in the line of keys, where that has no room for all of them.
        operation: what is called.
        key: the key in the list and the details; empty for palette and command line only.
        target: what it acts on; for ROW(S) the row's reference is passed as argument ``argument``.
        argument: that argument's name; the resource's ``name`` when empty.
        fields: the form, when it needs one.
        passes: argument -> key of the row whose value it is, in the console: nobody types what the row says.
        rule: name of a rule between its fields in :data:`core.rules.FORM_RULES`; run as one types, and by the service.
        prefill: an operation that gives the form's values for a row (a plain key -> value object); the
            row itself when empty. With target NOTHING the row under the cursor is a template: the form
            starts with its values (but not its name), and no reference is passed.
        danger: what is asked first.
        warning: msgid; what will happen, may use ``{name}`` and other keys of the row.
        preview: a reading operation that takes the same arguments and says what would happen: it is asked after the
            form, its answer's keys stand in ``warning``, and that is what is asked last.
        asides: what is said with the warning of those rows alone for which it holds: ``why`` is a msgid like it.
        plan: an operation that says, before anything is asked, what would happen to the row: ``lines`` of its answer
            are sentences ``{"message": template, "parameters": {...}}``, or what becomes what, as the log's contents.
        unfit: what makes it senseless for a row; it is greyed then, and the first that holds says why. The service has
            the last word.
        many: whether the operation takes many rows by one call (see ``core.rpc.backend.call_each``); otherwise it is
            called for each.
        task: whether the operation returns ``{"task": uuid}``, or ``tasks`` with several, to follow.
        screen: name of a special screen to open instead (``screens.special``).
        roles: who is offered it (the service decides by itself).
        console, command_line: whether it is offered there.
    """

    verb: str
    label: str
    operation: str = ""
    key: str = ""
    target: Target = Target.ROW
    argument: str = ""
    fields: tuple[Field, ...] = ()
    passes: Mapping[str, str] = _NOTHING
    rule: str = ""
    prefill: str = ""
    preview: str = ""
    danger: Danger = Danger.NONE
    warning: str = ""
    asides: tuple[Unfit, ...] = ()
    plan: str = ""
    unfit: tuple[Unfit, ...] = ()
    many: bool = False
    task: bool = False
    screen: str = ""
    roles: tuple[str, ...] = BOTH
    console: bool = True
    command_line: bool = True
    short: str = ""

    @property
    def uploads(self) -> str:
        """The field that names a file to be sent, or empty."""
        return next((field.key for field in self.fields if field.kind is Kind.UPLOAD), "")


class Filter(NamedTuple):
    """A filter of the list operation, passed as ``filters[key]``; ``choices`` and ``hint`` as in :class:`Field`."""

    key: str
    label: str
    kind: Kind = Kind.TEXT
    hint: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    resource: str | None = None
    roles: tuple[str, ...] = BOTH


class Related(NamedTuple):
    """Another resource's list seen from a row: opened by ``key``, filtered by ``filters`` (filter -> row key).

    ``short`` is as in :class:`Action`.
    """

    resource: str
    label: str
    key: str
    filters: Mapping[str, str]
    roles: tuple[str, ...] = BOTH
    short: str = ""


class ResourceSpec(NamedTuple):
    """A resource: how it is listed, shown, made, changed, and by whom.

    Attributes:
        name: the command's area and the name for ``:``; singular, dashes.
        title: msgid, plural; the menu entry and breadcrumb.
        singular: msgid.
        section: msgid of the first-level menu entry it is under.
        columns, filters, actions, related: as their classes say.
        roles: who sees it.
        list_operation: takes ``search``, ``filters``, ``sort``, ``descending``, ``offset``, ``limit`` and
            answers ``{"rows": [...], "total": n}``; ``<name>.list`` when empty, "-" for none.
        rows_operation: the list as people read it, where an object has several rows there (one for each of its
            members); it answers as ``list_operation`` does, which programs and pickers go on to use.
        row_key: the key of the row that tells it from all others of ``rows_operation``; ``reference`` when empty.
        show_operation: takes the reference as argument ``<name>``; ``<name>.show`` when empty; "-" for none.
        reference: key of the row that operations take (unambiguous, usually ``uuid``).
        label: key of the row that people know it by.
        default_sort: column key, with ``-`` for descending.
        interval: seconds between refreshes when nothing is heard; events refresh at once.
        topics: which changes concern this list (see ``Call.changed``).
        detail_screen: special screen for the details instead of the generic one.
        empty: msgid shown when there is no row: what this is.
        first: msgid; how to make the first, shown behind it to who may, where what is made would stand in the list.
        help: msgid, one paragraph for F1.
        single: there is exactly one row (the caller's own profile): it opens with its details, and no
            reference is passed to its operations.
    """

    name: str
    title: str
    singular: str
    section: str
    columns: tuple[Column, ...]
    actions: tuple[Action, ...] = ()
    filters: tuple[Filter, ...] = ()
    related: tuple[Related, ...] = ()
    roles: tuple[str, ...] = BOTH
    list_operation: str = ""
    rows_operation: str = ""
    row_key: str = ""
    show_operation: str = ""
    reference: str = "uuid"
    label: str = "name"
    default_sort: str = "name"
    interval: float = 5.0
    topics: tuple[str, ...] = ()
    detail_screen: str = ""
    empty: str = N_("Nothing here yet.")
    first: str = ""
    help: str = ""
    single: bool = False

    @property
    def argument(self) -> str:
        """The argument by which operations are told which one is meant."""
        return self.name.replace("-", "_")

    @property
    def lists_by(self) -> str:
        """The list operation, or empty when there is none."""
        return "" if self.list_operation == "-" else self.list_operation or f"{self.name}.list"

    @property
    def rows_by(self) -> str:
        """The operation whose rows people read."""
        return self.rows_operation or self.lists_by

    @property
    def shows_by(self) -> str:
        """The show operation, or empty when there is none."""
        return "" if self.show_operation == "-" else self.show_operation or f"{self.name}.show"
