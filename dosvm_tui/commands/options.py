"""Options of a command, made from the fields of its declaration, and their values read back."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.errors import DosvmError, InvalidInput, UsageError
from core.i18n import N_, _
from dosvm_tui.commands.words import Option, Words
from screens.spec import Field, Kind
from screens.values import check_range, parse

#: Given without a key in front, a word of a row's text is this field's value (``--graphics vnc``).
_BARE = "type"


def option_name(field: Field) -> str:
    """The option of a field, as after ``--``; a secret comes from a file, never from the words themselves."""
    name = field.option or field.key.replace("_", "-")
    return f"{name}-file" if field.kind is Kind.SECRET else name


def options_of(fields: Sequence[Field]) -> list[Option]:
    """The options for those fields that are not positional and not answered by the credentials."""
    return [
        Option(
            option_name(field),
            "" if field.kind is Kind.BOOLEAN else _takes(field),
            field.label,
            many=field.kind in (Kind.REFERENCES, Kind.ROWS),
        )
        for field in fields
        if offered(field) and not field.positional
    ]


def offered(field: Field) -> bool:
    """Whether the command line asks for this field."""
    return field.command_line and not field.own_password


def _takes(field: Field) -> str:
    if field.kind is Kind.SECRET:
        return "FILE"
    if field.choices:
        return "|".join(value for value, _label in field.choices)
    if field.kind is Kind.ROWS:
        return "KEY=VALUE,..."
    if field.resource:
        return field.resource.upper()
    return {Kind.INTEGER: "NUMBER", Kind.SIZE: "SIZE", Kind.TIME: "TIME"}.get(field.kind, "TEXT")


def values_of(fields: Sequence[Field], words: Words, given: Mapping[str, Any]) -> dict[str, Any]:
    """The operation's arguments from the options, over those ``given`` from a file or by position.

    Raises:
        UsageError: a value cannot be read, or a required one is missing.
    """
    result = dict(given)
    for field in fields:
        if not offered(field):
            continue
        name = option_name(field)
        if field.kind is Kind.BOOLEAN and name in words.flags:
            result[field.key] = words.flags[name]
        elif name in words.values:
            result[field.key] = _value(field, words.values[name])
        elif field.key not in result and field.kind is Kind.SECRET and _needed(field, result):
            result[field.key] = _ask_secret(field)
        if _needed(field, result) and result.get(field.key) in (None, ""):
            default = _default(field, result)
            if default is None:
                raise UsageError(N_("{option} is missing."), option=shown_name(field))
            result[field.key] = default
    return result


def _default(field: Field, before: Mapping[str, Any]) -> Any:
    """What is taken for a field that was not given: the first choice beside the others, if the usual one is none."""
    if field.fits is None or field.fits(field.initial, before):
        return field.initial
    return next((value for value, _label in field.choices if field.fits(value, before)), None)


def _needed(field: Field, before: Mapping[str, Any]) -> bool:
    """Whether a field must be given, by the values of those before it."""
    return field.required and (field.when is None or field.when(before))


def shown_name(field: Field) -> str:
    """A field as the command line writes it: the option, or the position's word."""
    return field.key.upper().replace("_", "-") if field.positional else f"--{option_name(field)}"


def _value(field: Field, texts: list[str]) -> Any:
    if field.kind is Kind.REFERENCES:
        return [text for text in texts if text]
    if field.kind is Kind.ROWS:
        return [read_row(field, text) for text in texts if text]
    if field.kind is Kind.SECRET:
        return secret_from(texts[-1])
    if field.kind is Kind.XML and texts[-1].startswith("@"):
        return read_text(texts[-1][1:])
    return read_value(field, texts[-1])


def read_value(field: Field, text: str, within: Field | None = None) -> Any:
    """The value of one option or positional word, or of one of the keys of ``within``, which is a table.

    Raises:
        UsageError: the text is no such value.
    """
    try:
        value = parse(field, text)
        check_range(field, value)
        return value
    except InvalidInput as error:
        # A sentence of its own within the other: put together here, no catalogue would know it.
        said = [{"message": error.message, "parameters": error.parameters}]
        option = shown_name(field) if within is None else f"{shown_name(within)}: {option_name(field)}"
        known = {**error.parameters, "option": option, "said": said}
        raise UsageError(N_("{option}: {said}"), remedy=error.remedy, **known) from error


def read_row(field: Field, text: str) -> dict[str, Any]:
    """One row of a table field from its short form ``key=value,key=value``; see :data:`_BARE`.

    Raises:
        UsageError: a key is unknown or a value cannot be read.
    """
    inner = {option_name(f): f for f in field.fields}
    row: dict[str, Any] = {}
    for number, item in enumerate(text.split(",")):
        key, equals, value = item.partition("=")
        if not equals:
            if number or _BARE not in inner:
                raise UsageError(N_("{option}: {text} is not KEY=VALUE."), option=f"--{option_name(field)}", text=item)
            key, value = _BARE, item
        known = inner.get(key.strip().replace("_", "-"))
        if known is None:
            raise UsageError(
                N_("{option} has no key {key}; it has: {keys}."),
                option=f"--{option_name(field)}",
                key=key,
                keys=", ".join(inner),
            )
        if known.kind is Kind.ROWS:
            raise UsageError(N_("{key} can be given in a file only (-f)."), key=key)
        row[known.key] = secret_from(value) if known.kind is Kind.SECRET else read_value(known, value, within=field)
    return row


def read_text(path: str) -> str:
    """A whole text file, ``-`` for the standard input.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or N_("it is not UTF-8 text")
        raise UsageError(N_("{path} cannot be read: {reason}."), path=path, reason=_(reason)) from error


def secret_from(path: str) -> str:
    """The first line of a file that holds a secret."""
    lines = read_text(path).splitlines()
    if not lines or not lines[0]:
        raise UsageError(N_("{path} is empty."), path=path)
    return lines[0]


def _ask_secret(field: Field) -> str:
    if not sys.stdin.isatty():
        raise UsageError(N_("{option} is missing."), option=shown_name(field))
    from getpass import getpass

    secret = getpass(f"{_(field.label)}: ")
    if field.twice and getpass(f"{_(field.label)} ({_(N_('again'))}): ") != secret:
        raise DosvmError(N_("The two are not the same."))
    return secret


def values_from_file(
    path: str, fields: Sequence[Field], ignored: frozenset[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arguments in a YAML file, and what ``show -o yaml`` adds beyond the form's fields.

    Args:
        path: the file, ``-`` for the standard input.
        fields: the fields of the command.
        ignored: keys that rows have and operations do not take.

    Raises:
        UsageError: the file cannot be read, is no mapping, or has an unknown key.
    """
    import yaml  # only when asked for: it costs 20 ms

    try:
        data = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise UsageError(
            N_("{path} is not YAML (line {line})."), path=path, line=mark.line + 1 if mark else "?"
        ) from error
    if not isinstance(data, dict):
        raise UsageError(N_("{path} must hold keys and values."), path=path)
    for raw, value in data.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(
                N_("{path}: {key} is neither text nor a number, yes or no, a list or keys and values."),
                remedy=N_("A date that is meant as text is written in quotes."),
                path=path,
                key=str(raw),
            ) from error
    known = {field.key: field for field in fields}
    result: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for raw, value in data.items():
        key = str(raw).replace("-", "_")
        if key in known:
            result[key] = _from_yaml(known[key], value)
        elif key in ignored:
            rest[key] = value
        else:
            raise UsageError(N_("{path}: unknown key {key}."), path=path, key=str(raw))
    return result, rest


def _from_yaml(field: Field, value: Any) -> Any:
    """Sizes may be written with their unit in a file too; rows are read key by key."""
    if field.kind is Kind.SIZE and isinstance(value, str):
        return read_value(field, value)
    if field.kind is Kind.ROWS and isinstance(value, list):
        inner = {f.key: f for f in field.fields}
        return [
            {k: _from_yaml(inner[k], v) if k in inner else v for k, v in row.items()} if isinstance(row, dict) else row
            for row in value
        ]
    return value
