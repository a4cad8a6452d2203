"""The console parameters as people see and change them: in the console, and by `dosvm console-settings`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import DosvmError, InvalidInput
from core.i18n import N_, _
from core.rpc import ways


def row() -> dict[str, Any]:
    """The parameters as they are shown: whether there is a password, not which."""
    path = ways.settings_file()
    try:
        found = ways.load(path)
    except DosvmError as error:
        return {"name": str(path), "file": str(path), "error": error.text()}
    return {
        "name": str(path),
        "hosts": list(found.hosts) or [ways.LOCAL],
        "use_ssl": found.use_ssl,
        "ssl_cert": found.ssl_cert,
        "ssl_key": found.ssl_key,
        "ssl_ca": found.ssl_ca,
        "ssl_password": bool(found.ssl_password),
        "file": str(path),
        "error": "",
    }


def present() -> ways.ConsoleSettings:
    """The parameters to begin editing with; those of a file that cannot be read begin anew."""
    try:
        return ways.load(ways.settings_file())
    except DosvmError:
        return ways.ConsoleSettings()


def changed_by(typed: Mapping[str, Any]) -> ways.ConsoleSettings:
    """The present parameters with what was typed.

    Raises:
        InvalidInput: a value breaks a rule; names the field.
    """
    before = present()
    values = {key: str(typed.get(key) or "").strip() for key in ways.FILES}
    password = typed.get("ssl_password") or (before.ssl_password if values["ssl_key"] == before.ssl_key else "")
    return ways.ConsoleSettings(
        hosts=tuple(typed.get("hosts") or ()), use_ssl=bool(typed.get("use_ssl")), ssl_password=str(password), **values
    ).checked()


def save(typed: Mapping[str, Any]) -> list[ways.Tried]:
    """Ask every host, and keep the parameters when one answers, or all the same when ``anyway`` was typed.

    Raises:
        InvalidInput: a value breaks a rule, or a file cannot be used, which nobody can mean; nothing was saved.
        DosvmError: no host answers: in the words of the first; nothing was saved.
    """
    path = ways.settings_file()
    made = changed_by(typed)
    made.check_files(path.parent)
    try:
        tried = ways.try_all(made, path.parent)
    except InvalidInput:
        if not typed.get("anyway"):
            raise
        tried = []
    if not typed.get("anyway") and not any(one.error is None for one in tried):
        raise next(one.error for one in tried if one.error is not None)
    ways.save(path, made)
    return tried


def told(tried: ways.Tried) -> str:
    """How a host answered, in a sentence."""
    if tried.error is not None:
        return tried.error.text()
    return _(N_("It answers: host {host}, DOSVM {version}.")).format(host=tried.host, version=tried.version)
