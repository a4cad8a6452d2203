"""A hostd with very many VMs that nobody runs, a part of which changes all the time: ``python -m tests.bench.crowd``.

It is the daemon itself but for the parts that work on this host: nothing is started or sampled, so that
fifty thousand VMs need no fifty thousand processes.
"""

from __future__ import annotations

import os
import signal
import threading

from sqlalchemy import text

from core.rpc.signature import load_key
from hostd import settings
from hostd.daemon import Daemon, settle

#: Rows changed each time, and times per second.
ROWS, TIMES = 50, 20


def _change(daemon: Daemon, ended: threading.Event) -> None:
    """Change the ports of rows here and there, and tell those who watch."""
    turn = 0
    while not ended.wait(1 / TIMES):
        turn += 1
        statement = text(
            "UPDATE machine SET vnc_port = 5900 + (id + :turn) % 100, state = CASE (id + :turn) % 3 "
            "WHEN 0 THEN 'paused' ELSE 'running' END WHERE id IN "
            "(SELECT id FROM machine ORDER BY power DESC, name LIMIT :rows OFFSET :offset)"
        )
        values = {"turn": turn, "rows": ROWS, "offset": turn * ROWS % 1000}
        daemon.database.write(lambda session, v=values, s=statement: session.execute(s, v) and None)  # type: ignore[misc]
        daemon.bus.changed({"vm"})


def main() -> None:
    """Run until SIGTERM."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: ended.set())
    configuration = settings.load(settings.home())
    daemon = Daemon(configuration, load_key(configuration.key))
    daemon.server.listen_unix(configuration.socket)
    daemon.collector.start()
    daemon.heartbeat.start()
    daemon.server.start()
    settle()
    if os.environ.get("CROWD_CHANGES"):
        threading.Thread(target=_change, args=(daemon, ended), daemon=True).start()
    ended.wait()


if __name__ == "__main__":
    main()
