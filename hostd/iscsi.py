"""Logs this host in at iSCSI targets, so that no password is ever among the arguments of a program.

libvirt would hand the password of CHAP to ``iscsiadm`` as an argument, which everybody on the host can read while that
runs. So hostd logs in before: it writes the password into open-iscsi's own record of the target, a file that root alone
reads, where iscsid needs it anyway to log in anew after a failure. libvirt finds the session and uses it.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from core.errors import EngineError
from core.i18n import N_
from core.rules.pools import ISCSI_PORT
from core.specs.pool import PoolOrder
from hostd import intervals, qemu_img
from hostd.hypervisor.errors import TooSlow
from hostd.storage_calls import LOOK

#: Where open-iscsi keeps its records: Debian's place, and that of others.
_RECORDS = (Path("/etc/iscsi/nodes"), Path("/var/lib/iscsi/nodes"))
_SESSIONS = Path("/sys/class/iscsi_session")
_LOGGED_IN = "LOGGED_IN"
#: iscsiadm says so when there is no record, session or portal of that name.
_NOTHING = 21
_AUTH = re.compile(r"\s*node\.session\.auth\.(authmethod|username|password)\s*=")
_END = "# END RECORD"


def session_state(target: str, sessions: Path = _SESSIONS) -> str:
    """What the kernel says of the session with a target: ``LOGGED_IN``, another word, or empty when there is none."""
    states = []
    for session in sessions.glob("session*"):
        with contextlib.suppress(OSError):  # it ends at this moment
            if (session / "targetname").read_text(encoding="utf-8").strip() == target:
                states.append((session / "state").read_text(encoding="utf-8").strip())
    return next((state for state in states if state == _LOGGED_IN), states[0] if states else "")


def check(pool: PoolOrder) -> None:
    """Refuse a session that is interrupted: the kernel would hold whoever asks for its units for two minutes.

    Raises:
        EngineError: it is.
    """
    state = session_state(pool.source)
    if state not in ("", _LOGGED_IN):
        raise EngineError(
            N_("The session of storage pool {name} with the target {source} is interrupted ({state})."),
            remedy=N_("It is taken up anew by itself as soon as the server answers again."),
            name=pool.name,
            source=pool.source,
            state=state,
        )


def log_in(pool: PoolOrder, password: str, records: tuple[Path, ...] = _RECORDS) -> None:
    """Log in at a pool's target, unless this host is.

    Args:
        pool: of the kind iSCSI.
        password: of its account, if it has one.
        records: where open-iscsi may keep its records.

    Raises:
        EngineError: the target refuses it, or iscsiadm failed; its own words are the reason.
    """
    if session_state(pool.source):
        return
    # It begins a record anew, without what an earlier one had of accounts.
    _iscsiadm(pool, "--op", "new")
    if pool.account:
        _write_account(pool, password, records)
    _iscsiadm(pool, "--login")


def forget(pool: PoolOrder, records: tuple[Path, ...] = _RECORDS) -> None:
    """Log out of a target, and remove its record and the password with it; what is not there is removed already.

    Raises:
        EngineError: iscsiadm failed.
    """
    if not any(True for place in records for _file in _files(place / pool.source, pool)):
        return
    if session_state(pool.source):
        _iscsiadm(pool, "--logout")
    _iscsiadm(pool, "--op", "delete")


def _write_account(pool: PoolOrder, password: str, records: tuple[Path, ...]) -> None:
    """Write account and password into the record that was just made."""
    lines = [
        "node.session.auth.authmethod = CHAP",
        f"node.session.auth.username = {pool.account}",
        f"node.session.auth.password = {password}",
    ]
    found = [file for place in records for file in _files(place / pool.source, pool)]
    for file in found:
        kept = [line for line in file.read_text(encoding="utf-8").splitlines() if not _AUTH.match(line)]
        at = kept.index(_END) if _END in kept else len(kept)
        fresh = file.with_name(f".{file.name}.new")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as record:
            record.write("\n".join([*kept[:at], *lines, *kept[at:]]) + "\n")
        fresh.replace(file)
    if not found:
        raise EngineError(
            N_("open-iscsi's record of the target {source} was not found in {places}."),
            source=pool.source,
            places=", ".join(map(str, records)),
        )


def _files(target: Path, pool: PoolOrder) -> Iterator[Path]:
    """The records of a target at the pool's portal: a file, or one for each interface in a directory."""
    portal = f"{pool.server},{pool.port or ISCSI_PORT}"
    for entry in target.glob("*"):
        if entry.name == portal or entry.name.startswith(f"{portal},"):
            yield from (file for file in (sorted(entry.iterdir()) if entry.is_dir() else [entry]) if file.is_file())


def _iscsiadm(pool: PoolOrder, *words: str) -> None:
    server = f"[{pool.server}]" if ":" in pool.server else pool.server
    where = ["--mode", "node", "--targetname", pool.source, "--portal", f"{server}:{pool.port or ISCSI_PORT}"]
    try:
        done = subprocess.run(
            ["iscsiadm", *where, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=intervals.STORAGE_LOGIN,
            env=qemu_img.environment(),
            check=False,
        )
    except FileNotFoundError as error:
        raise EngineError(N_("iscsiadm is not installed."), remedy=N_("Install the package open-iscsi.")) from error
    except subprocess.TimeoutExpired as error:
        raise TooSlow(
            N_("iscsiadm did not end within {seconds} s."), remedy=LOOK, seconds=int(intervals.STORAGE_LOGIN)
        ) from error
    if done.returncode == 0 or (done.returncode == _NOTHING and words[-1] in ("delete", "--logout")):
        return
    said = done.stderr.decode(errors="replace").strip() or f"exit status {done.returncode}"
    raise EngineError(N_("iscsiadm: {reason}"), reason=" ".join(said.split())[:500])
