"""N hosts on one machine with one database; nothing of it outlives the test process."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import libvirt
import pymysql

from tests.fakes.mariadb import MariaDB
from tests.fakes.places import make_place
from tests.lab.host import REPOSITORY, LabHost
from tests.lab.namespaces import World, processes, wait_until

#: The network is in a namespace of its own, so its addresses need no care.
_SUBNET = "10.77.0"
_GATEWAY = f"{_SUBNET}.254"
_NAMES = "abcdefgh"
# A bridge without an address of its own takes one of its ports', and changes it when that host goes.
_LAB = f"""\
ip link set lo up
ip link add br0 address 02:00:00:00:77:fe type bridge
ip address add {_GATEWAY}/24 dev br0
ip link set br0 up
exec cat >/dev/null
"""
SAMPLE = REPOSITORY / ".cache/sample-image/dosvm-sample.iso"


class LabMariaDB(MariaDB):
    """A MariaDB server on the lab's network."""

    def __init__(self, directory: Path, world: World) -> None:
        super().__init__(directory)
        self._world = world

    def command(self) -> list[str]:
        """See :meth:`MariaDB.command`."""
        own = [word for word in super().command() if word != "--skip-networking"]
        # Only the network is entered: the process stays our child, to be stopped as one.
        return self._world.command([*own, f"--bind-address={_GATEWAY}", "--port=3306"], ["-n"])

    def address(self, name: str) -> str:
        """The URL of one database in it, as hosts see it."""
        return f"mysql://lab:lab@{_GATEWAY}:3306/{name}"


class Lab:
    """``Lab(hosts=2)``; :meth:`close` it at the end. Hosts are called a, b, ..."""

    def __init__(self, hosts: int = 1, *, database: str = "") -> None:
        """Switch on ``hosts`` hosts; ``database`` is ``sqlite`` or ``mariadb`` (default: by the number of hosts)."""
        # Unix sockets have at most 107 characters in their path, and QEMU's user must be able to pass.
        self.root = Path(tempfile.mkdtemp(prefix="dosvm-lab-"))
        self.root.chmod(0o755)
        self.engine = database or ("sqlite" if hosts == 1 else "mariadb")
        self.hosts: list[LabHost] = []
        self.mariadb: LabMariaDB | None = None
        self._namespaces: set[str] = set()
        self._clouds = 0
        self.world = World(["-n", "-m", "-p"], _LAB, self.root / "lab.log")
        try:
            self.world.go()
            if self.engine == "mariadb":
                self.mariadb = LabMariaDB(make_place("lab-db"), self.world)
                self.mariadb.install()
                self.start_database()
                self.mariadb.run("CREATE USER lab IDENTIFIED BY 'lab'", "GRANT ALL ON *.* TO lab")
            names = self.root / "hosts.txt"
            addresses = {name: f"{_SUBNET}.{number}" for number, name in enumerate(_NAMES[:hosts], 1)}
            names.write_text("127.0.0.1 localhost\n" + "".join(f"{a} {n}\n" for n, a in addresses.items()))
            for name, address in addresses.items():
                host = LabHost(name, address, str(uuid.uuid4()), self.root / name, self.world, names)
                host.boot()
                self.hosts.append(host)
        except BaseException:
            self.close()
            raise

    def __getitem__(self, index: int) -> LabHost:
        return self.hosts[index]

    # -- the database

    def start_database(self) -> None:
        """Start the database server."""
        assert self.mariadb is not None
        self.mariadb.start()

    @property
    def database_name(self) -> str:
        """The database of the cloud of now."""
        return f"cloud{self._clouds}"

    @property
    def database_url(self) -> str:
        """The database's URL as the hosts see it."""
        if self.mariadb is not None:
            return self.mariadb.address(self.database_name)
        return f"sqlite:///{self.hosts[0].home / 'cloud.db'}"

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """What the database itself holds; ``?`` stands for a value."""
        if self.mariadb is None:
            connection = sqlite3.connect(f"file:{self.hosts[0].home / 'cloud.db'}?mode=ro", uri=True, timeout=10)
            try:
                return connection.execute(statement, values).fetchall()
            finally:
                connection.close()
        server = pymysql.connect(unix_socket=str(self.mariadb.socket), user="root", database=self.database_name)
        try:
            with server.cursor() as cursor:
                cursor.execute(statement.replace("?", "%s"), values)
                return list(cursor.fetchall())
        finally:
            server.close()

    # -- the cloud

    def make_cloud(self, password: str) -> None:
        """Make an empty cloud on all hosts, whatever there was; hostd is left stopped.

        Args:
            password: of ``sysadm``.
        """
        self._clouds += 1
        self.empty()
        first = self.hosts[0]
        secret = self.root / "sysadm.pw"
        secret.write_text(password + "\n")
        first.dosvm("init", "--database", self.database_url, "--sysadm-password-file", str(secret), "--yes")
        settings = (first.home / "dosvm.toml").read_text()
        for host in self.hosts:
            own = settings.replace('localhost = ""', f'localhost = "{host.address}"')
            own = own.replace(
                "[config]\n",
                f'[config]\nhost_name = "{host.name}"\nhost_uuid = "{host.uuid}"\nsample_image = "{SAMPLE}"\n',
            )
            (host.home / "dosvm.toml").write_text(own)
            if host is not first:
                shutil.copy(first.home / "cluster.key", host.home / "cluster.key")

    def empty(self) -> None:
        """Take away whatever DOSVM made on the hosts."""
        for host in self.hosts:
            if host.hostd is not None:
                host.kill_hostd()
            _destroy_all(host)
            # The directories themselves stay: they are mounted in the host.
            places = (host.home, host.srv, host.root / "people", host.root / "var/dosvm")
            for entry in [entry for place in places if place.exists() for entry in place.iterdir()]:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def start(self, hosts: Sequence[LabHost] = ()) -> None:
        """Start hostd on hosts (all, when none is named), one beside the other."""
        chosen = hosts or self.hosts
        for host in chosen:
            host.start_hostd(wait=False)
        for host in chosen:
            host.wait_for_hostd()

    def mend(self) -> None:
        """Bring everything back that a test may have left broken."""
        if self.mariadb is not None and not self.mariadb.running:
            self.mariadb.start()
        for host in self.hosts:
            if not host.running:
                host.boot()
            host.heal()
            host.start_libvirtd()
            if host.hostd is None or not host.hostd.running:
                host.start_hostd()

    def close(self) -> None:
        """End all of it.

        Raises:
            AssertionError: something is left over.
        """
        for host in self.hosts:
            if host.running:
                self._namespaces.add(host.world.identity)
                host.crash()
        if self.mariadb is not None:
            self.mariadb.stop()
        self._namespaces.add(self.world.identity)
        self.world.end()
        wait_until(lambda: not self.leftovers(), "the end of the lab's processes", 20, lambda: str(self.leftovers()))
        shutil.rmtree(self.root)
        if self.mariadb is not None:
            shutil.rmtree(self.mariadb.directory)

    def leftovers(self) -> dict[int, list[str]]:
        """Processes of its namespaces that still live."""
        return processes(self._namespaces)


def _destroy_all(host: LabHost) -> None:
    connection = host.libvirt()
    try:
        for domain in connection.listAllDomains():
            with contextlib.suppress(libvirt.libvirtError):  # it may end by itself at this moment
                domain.destroy()
        for pool in connection.listAllStoragePools():
            # A transient one is forgotten when it ends.
            persistent = pool.isPersistent()
            if pool.isActive():
                pool.destroy()
            if persistent:
                pool.undefine()
    finally:
        connection.close()
