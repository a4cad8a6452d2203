"""A real MariaDB server for tests, on a Unix socket in a directory of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pymysql
import pytest


def _little(most: str) -> list[str]:
    """Options for a server that keeps no 8 TiB of addresses for the day when it is given more memory.

    Small machines, as that of the storage tests, have no so many; older servers keep none and do not know the option.
    """
    return [f"--loose-innodb-buffer-pool-size-max={most}"]


class MariaDB:
    """One server; started by :meth:`start`, stopped by :meth:`stop`, by its own process only."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def _temporary(self) -> Path:
        """Of its own: a server that begins removes all temporary tables in there, those of other servers too."""
        return self.directory / "tmp"

    @staticmethod
    def missing() -> str:
        """What is not installed that this needs; empty when all is."""
        needed = ("mariadbd", "mariadb-install-db")
        path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
        return ", ".join(name for name in needed if shutil.which(name, path=path) is None)

    def install(self) -> None:
        """Make the empty data directory."""
        self._temporary.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [
                "mariadb-install-db",
                "--no-defaults",
                f"--datadir={self.directory / 'data'}",
                f"--tmpdir={self._temporary}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                *_little("128M"),
                *self._user(),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            pytest.fail(f"mariadb-install-db: {done.returncode}\n{done.stdout}{done.stderr}")

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(self.command(), stdout=log, stderr=log)
        give_up = time.monotonic() + 60
        while True:
            try:
                self._connect().close()
                return
            except pymysql.err.OperationalError:
                if self._process.poll() is not None or time.monotonic() > give_up:
                    pytest.fail((self.directory / "log").read_text(errors="replace")[-2000:])
                time.sleep(0.05)

    def command(self) -> list[str]:
        """The command line that runs the server."""
        return [
            *("setpriv", "--pdeathsig", "KILL"),  # it ends with the tests, even when they are killed
            shutil.which("mariadbd") or "/usr/sbin/mariadbd",
            "--no-defaults",
            f"--datadir={self.directory / 'data'}",
            f"--tmpdir={self._temporary}",
            f"--socket={self.socket}",
            f"--pid-file={self.directory / 'pid'}",
            "--skip-networking",
            "--innodb-buffer-pool-size=32M",
            "--innodb-flush-method=nosync",
            *_little("32M"),
            "--innodb-flush-log-at-trx-commit=0",
            "--sync-binlog=0",
            *self._user(),
        ]

    @property
    def running(self) -> bool:
        """Whether it was started and lives."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Stop the server and wait for its end."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=60)
            self._process = None

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=60)
            self._process = None

    def url(self, name: str) -> str:
        """The database URL of one database in it."""
        return f"mysql://root@localhost/{name}?unix_socket={self.socket}"

    def run(self, *statements: str) -> None:
        """Run statements as root."""
        connection = self._connect()
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
            connection.commit()
        finally:
            connection.close()

    def _connect(self) -> pymysql.Connection[pymysql.cursors.Cursor]:
        return pymysql.connect(unix_socket=str(self.socket), user="root")

    @staticmethod
    def _user() -> list[str]:
        return ["--user=root"] if os.geteuid() == 0 else []
