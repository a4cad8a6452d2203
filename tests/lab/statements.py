"""What a database is asked while something is done, by its own account (MariaDB's general log)."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from core.rpc.backend import HostdBackend
from tests.lab.cloud import Cloud
from tests.lab.namespaces import wait_until

#: What is counted, each leading to the next: operations on VMs, and their arguments.
ACTIONS: Mapping[str, Mapping[str, Any]] = {"start": {}, "suspend": {}, "resume": {}, "stop": {"force": True}}

#: Of an entry the statement, however many lines it has: the next one begins with its time, or with two tabs.
_ENTRY = re.compile(r"\bQuery\t(.*?)(?=\n\t\t|\n\d{6} |\Z)", re.DOTALL)
_OF_ROWS = re.compile(r"SELECT (?!1\b)|INSERT|UPDATE|DELETE|REPLACE")
#: What every hostd asks every few seconds whatever else happens: whether a host's maintenance goes on.
_ANYWAY = "host.drain != ''"
#: Seconds after which an action and all that comes of it is over, on a busy machine too.
_OVER = 2.0


class Statements:
    """The statements that read or change rows, as the server of a lab gets them."""

    def __init__(self, cloud: Cloud) -> None:
        lab = cloud.lab
        assert lab.mariadb is not None
        self._server = lab.mariadb
        self._log = lab.root / "statements.log"

    @contextmanager
    def noted(self) -> Iterator[list[str]]:
        """Fills the list with what comes inside, when it is over."""
        begin = self._log.stat().st_size
        seen: list[str] = []
        yield seen
        with self._log.open("rb") as file:
            file.seek(begin)
            text = file.read().decode(errors="replace")
        whole = (" ".join(statement.split()) for statement in _ENTRY.findall(text))
        seen += [statement for statement in whole if _OF_ROWS.match(statement) and _ANYWAY not in statement]

    def start(self) -> None:
        """Begin to note."""
        self._server.run(f"SET GLOBAL general_log_file = '{self._log}'", "SET GLOBAL general_log = ON")

    def stop(self) -> None:
        """Note no more."""
        self._server.run("SET GLOBAL general_log = OFF")


def rest(cloud: Cloud) -> None:
    """Have hostd ask as little as it may beside what is done: its intervals are as long as they can be."""
    longest = {"heartbeat": 300, "scheduling": 300, "host-history": 3600}
    cloud.sysadm(
        "settings", "edit", *(w for name, value in longest.items() for w in (f"--{name}-interval", str(value)))
    )


def of_actions(cloud: Cloud, session: HostdBackend, rounds: int) -> dict[str, list[list[str]]]:
    """The statements from each of four actions on the VM ``one`` until all that comes of it is over, round by round.

    Args:
        cloud: on MariaDB; the VM is off.
        session: of who may do them.
        rounds: how often each is done.
    """
    found: dict[str, list[list[str]]] = {}
    log = Statements(cloud)
    log.start()
    try:
        for _ in range(rounds):
            for verb, arguments in ACTIONS.items():
                time.sleep(_OVER)
                # Who a session is, is asked once for all that it does within seconds: a console asks all the time.
                session.call("vm.show", vm="one")
                with log.noted() as seen:
                    task = str(session.call(f"vm.{verb}", vm="one", **arguments)["task"])
                    time.sleep(_OVER)
                found.setdefault(verb, []).append(seen)
                wait_until(lambda task=task: _is_done(session, task), f"the end of vm.{verb}", 60)  # type: ignore[misc]
        return found
    finally:
        log.stop()


def _is_done(session: HostdBackend, task: str) -> bool:
    state = session.call("task.show", task=task)["state"]
    assert state not in ("failed", "cancelled"), state
    return bool(state == "done")
