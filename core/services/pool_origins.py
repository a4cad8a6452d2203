"""Where the storage of a new pool is: what its type asks for, what may stand there, and that it is nobody else's.

A pool's place never changes (manual 9.3), so all of this is asked once, by ``pool.add`` and the first-run helper.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import or_, select

from core.coordination.charges import charge_directories
from core.coordination.parameters import read
from core.errors import InvalidInput
from core.i18n import N_
from core.model import Host, Pool, ProjectGroup, Secret
from core.rules import pools
from core.rules.secrets import CIFS, ISCSI
from core.services.fields import in_range, ruled
from core.services.operation import Call


class Origin(NamedTuple):
    """Where the storage of a pool is; see :class:`core.model.Pool`."""

    format: str = ""
    server: str = ""
    port: int = 0
    source: str = ""
    devices: tuple[str, ...] = ()
    account: str = ""
    secret: Secret | None = None

    def given(self) -> dict[str, Any]:
        """By the arguments of ``pool.add``."""
        return {
            "format": self.format,
            "server": self.server,
            "port": self.port,
            "source": self.source,
            "devices": self.devices,
            "account": self.account,
            "secret": self.secret,
        }


#: Of a pool that is a directory of its host.
NOWHERE = Origin()


def asked_for(kind: str, given: Mapping[str, Any]) -> None:
    """Refuse what a kind of pool needs and did not get, and what it got and has no use for.

    Raises:
        InvalidInput: names the argument.
    """
    asks = pools.KINDS[kind].asks
    for key, value in given.items():
        if f"{key}*" in asks and not value:
            raise InvalidInput(N_("A storage pool of type {type} needs a value here."), field=key, type=kind)
        if value and key not in asks and f"{key}*" not in asks:
            raise InvalidInput(
                N_("A storage pool of type {type} has no use for this."),
                remedy=N_("Leave it out."),
                field=key,
                type=kind,
            )


def ruled_origin(kind: str, name: str, path: str, origin: Origin) -> Origin:
    """Where the storage is, complete with what its type says of itself.

    Raises:
        InvalidInput: a rule is broken.
    """
    formats = pools.KINDS[kind].formats
    if formats:
        origin = origin._replace(format=origin.format or formats[0])
        if origin.format not in formats:
            raise InvalidInput(N_("{field} is one of: {kinds}."), field="format", kinds=", ".join(formats))
    if origin.server:
        ruled("server", pools.server, origin.server)
    if origin.source:
        ruled("source", partial(pools.source, kind, origin.format), origin.source)
    in_range("port", origin.port or None, 1, 65535)
    for device in origin.devices:
        ruled("devices", pools.device, device)
    if kind == pools.LOGICAL and name != path.rsplit("/", 1)[-1]:
        raise InvalidInput(
            N_("The name of a logical pool is that of its volume group: the last part of the path."), field="name"
        )
    if kind == pools.ISCSI and not origin.port:
        origin = origin._replace(port=pools.ISCSI_PORT)
    _ruled_login(kind, origin)
    return origin


def _ruled_login(kind: str, origin: Origin) -> None:
    """Refuse half of a login, and one that the server has no use for."""
    if not origin.account and origin.secret is None:
        return
    if kind == pools.NETFS and origin.format != pools.CIFS:
        raise InvalidInput(N_("Only CIFS knows accounts."), field="account" if origin.account else "secret")
    if not origin.account or origin.secret is None:
        raise InvalidInput(
            N_("An account and a secret belong together: give both or neither."),
            field="secret" if origin.account else "account",
        )
    ruled("account", pools.user_name, origin.account)
    wanted = ISCSI if kind == pools.ISCSI else CIFS
    if origin.secret.kind != wanted:
        raise InvalidInput(
            N_("Secret {name} is for {other}, not for {kind}."),
            field="secret",
            name=origin.secret.name,
            other=origin.secret.kind,
            kind=wanted,
        )


def _own_disks(call: Call, kind: str, host: Host, origin: Origin) -> None:
    """Refuse a disk whose partitions are in a volume group that is a pool, and the other way round."""
    other_kind = pools.LOGICAL if kind == pools.DISK else pools.DISK
    mine = origin.devices if kind == pools.LOGICAL else (origin.source,)
    field = "devices" if kind == pools.LOGICAL else "source"
    for other in call.session.scalars(select(Pool).where(Pool.kind == other_kind, Pool.host_id == host.id)):
        theirs = other.devices.splitlines() if kind == pools.DISK else [other.source]
        for one in mine:
            if any(pools.on_disk(one, their) or pools.on_disk(their, one) for their in theirs):
                raise InvalidInput(
                    N_("{source} is that of storage pool {name} already."), field=field, source=one, name=other.name
                )


def own_source(call: Call, kind: str, host: Host | None, origin: Origin) -> None:
    """Refuse storage that is another pool's: the same volume would have two names, and two users.

    Raises:
        InvalidInput: names the other pool.
    """
    if host is not None and kind in (pools.DISK, pools.LOGICAL):
        _own_disks(call, kind, host, origin)
    if not origin.source:
        return
    same = select(Pool.name).where(Pool.kind == kind)
    if kind != pools.ISCSI:
        # What a server of files has is marked there, whatever the server is called. The units of a target are not, but
        # its own name is the only one of its kind in the world.
        same = same.where(Pool.server == origin.server, Pool.port == origin.port)
    bare = origin.source.strip("/")
    ways = (bare, f"/{bare}", f"{bare}/", f"/{bare}/") if kind == pools.NETFS else (origin.source,)
    same = same.where(Pool.source.in_(ways))
    other = call.session.scalar(same.where(Pool.host_id == host.id) if host is not None else same)
    if other is not None:
        raise InvalidInput(
            N_("{source} is that of storage pool {name} already."), field="source", source=origin.source, name=other
        )


def apart(call: Call, path: str, host: Host | None) -> str:
    """The path without needless slashes; refused where volumes could be taken for something else's files.

    Raises:
        InvalidInput: it overlaps with the directory of a pool or project group, which it names.
    """
    clean = tidy(path)
    charge_directories(call.session)
    refuse_temporary(call, clean, field="path")
    refuse_overlap(call, clean, host, field="path")
    return clean


def tidy(path: str) -> str:
    """An absolute path without needless slashes."""
    return "/" + "/".join(part for part in path.split("/") if part)


def refuse_temporary(call: Call, path: str, *, field: str) -> None:
    """Refuse a directory (tidy) in which hosts keep temporary files of VMs: they would be taken for volumes or images.

    Raises:
        InvalidInput: it is one, lies in one, or holds one.
    """
    temporary = read(call.session).temporary_directory
    if temporary and pools.overlap(path, tidy(temporary)):
        raise InvalidInput(
            N_("{path} overlaps with the directory of VMs' temporary files ({other})."),
            remedy=N_("Choose another directory."),
            field=field,
            path=path,
            other=tidy(temporary),
        )


def refuse_overlap(call: Call, path: str, host: Host | None, *, field: str) -> None:
    """Refuse a directory (tidy) that is, lies in or holds that of a storage pool or project group.

    Args:
        call: the operation's call.
        path: the directory.
        host: where it is; None for all hosts.
        field: the argument it came from.

    Raises:
        InvalidInput: names whose it is.
    """
    # Units of storage systems share their directories of devices.
    fixed = [kind for kind, what in pools.KINDS.items() if what.path]
    others = select(Pool.name, Pool.path).where(Pool.kind.not_in(fixed)).order_by(Pool.name)
    if host is not None:
        others = others.where(or_(Pool.host_id == host.id, Pool.host_id.is_(None)))
    groups = select(ProjectGroup.name, ProjectGroup.directory).order_by(ProjectGroup.name)
    for there, said in (
        (others, N_("{path} overlaps with the directory of storage pool {name} ({other}).")),
        (groups, N_("{path} overlaps with the directory of project group {name} ({other}).")),
    ):
        for name, other in call.session.execute(there):
            if pools.overlap(path, other):
                raise InvalidInput(
                    said, remedy=N_("Choose another directory."), field=field, path=path, name=name, other=other
                )
