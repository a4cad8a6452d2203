"""Puts together what the console and the command line stand on: the home directory, the key, the way to hostd."""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path

from core.errors import DosvmError, HostdUnavailable
from core.i18n import N_, _
from core.rpc import ways
from core.rpc.backend import HostdBackend
from core.rpc.calls import HELLO
from core.rpc.ways import Ways, settings_file

home = ways.home

#: Seconds a command goes on trying to reach a hostd that is not there: it may be starting.
PATIENCE = 15.0
#: Seconds of silence before a person at a terminal is told what is being waited for.
QUIET = 1.0


def socket_path() -> Path:
    """Where the hostd of this machine listens."""
    return home() / "hostd.sock"


def connect() -> HostdBackend:
    """A backend over this machine's hostd, or those that ``console.toml`` names; not logged in yet.

    Raises:
        InvalidInput: the cluster key cannot be used (``dosvm init`` was not run, or by somebody else), or the
            settings cannot.
    """
    return HostdBackend(Ways(settings_file()))


def backend_for(account: str, password: str) -> HostdBackend:
    """A backend that proves who it is with each call, once somebody listens on hostd's socket.

    Raises:
        HostdUnavailable: nobody did for :data:`PATIENCE` seconds.
        InvalidInput: the cluster key or the settings cannot be used.
    """
    several = Ways(settings_file())
    if not several.remote:
        await_hostd()
    backend = HostdBackend(several, patience=PATIENCE if several.remote else 0.0)
    backend.use_password(account, password)
    return backend


def await_answer() -> None:
    """Return as soon as a hostd can be asked, be it this machine's or another that ``console.toml`` names.

    Raises:
        HostdUnavailable: none could for :data:`PATIENCE` seconds.
        DosvmError: this user may not use the socket, or the settings cannot be used.
    """
    several = Ways(settings_file())
    if several.remote:
        several.request(HELLO, {}, patience=PATIENCE)
    else:
        await_hostd()


def await_hostd(patience: float | None = None) -> None:
    """Return as soon as somebody listens on hostd's socket, for :data:`PATIENCE` seconds unless told otherwise.

    Raises:
        HostdUnavailable: nobody did within ``patience`` seconds.
        DosvmError: this user may not use the socket.
    """
    path = str(socket_path())
    begun = time.monotonic()
    told = False
    while True:
        error = _try(path)
        if error is None:
            return
        if isinstance(error, PermissionError):
            raise DosvmError(
                N_("You may not use {where}."), remedy=N_("Ask for membership in the group that may."), where=path
            )
        waited = time.monotonic() - begun
        if waited >= (PATIENCE if patience is None else patience):
            raise HostdUnavailable(path)
        if waited >= QUIET and not told:
            told = True
            if sys.stderr.isatty():
                print(_("Waiting for hostd at {where} ...").format(where=path), file=sys.stderr)
        time.sleep(0.05)


def _try(path: str) -> OSError | None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PATIENCE)
        try:
            probe.connect(path)
        except OSError as error:
            return error
    return None
