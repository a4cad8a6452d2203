"""The kinds of storage pools (manual 9.3.2), and the rules for what says where their storage is."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from core.errors import InvalidInput
from core.i18n import N_
from core.rules.names import directory, printable

DOS, NETFS, ISCSI, DIR, DISK, LOGICAL = "dos", "netfs", "iscsi", "dir", "disk", "logical"
#: Formats of network file systems.
AUTO, NFS, CIFS, GLUSTERFS = "auto", "nfs", "cifs", "glusterfs"


class PoolKind(NamedTuple):
    """What kinds of pools differ in.

    Attributes:
        libvirt: libvirt's word for it.
        bound: it is on one host; otherwise every host can reach it.
        files: its volumes are files, which DOSVM makes; otherwise units of a storage system, which others make there.
        formats: what the storage can be formatted as, the usual one first.
        path: where its volumes appear on a host, when that is always the same.
        asks: the arguments of ``pool.add`` that this kind has beyond those of all; a ``*`` marks those it needs.
    """

    libvirt: str
    bound: bool
    files: bool
    formats: tuple[str, ...] = ()
    path: str = ""
    asks: tuple[str, ...] = ()


KINDS: dict[str, PoolKind] = {
    DOS: PoolKind("dir", bound=False, files=True, asks=("path*",)),
    NETFS: PoolKind(
        "netfs",
        bound=False,
        files=True,
        formats=(AUTO, NFS, CIFS, GLUSTERFS),
        asks=("server*", "port", "format", "source*", "path*", "account", "secret"),
    ),
    ISCSI: PoolKind(
        "iscsi",
        bound=False,
        files=False,
        path="/dev/disk/by-path",
        asks=("server*", "port", "source*", "account", "secret"),
    ),
    DIR: PoolKind("dir", bound=True, files=True, asks=("host*", "path*")),
    DISK: PoolKind(
        "disk", bound=True, files=False, formats=("dos", "gpt"), path="/dev", asks=("host*", "format", "source*")
    ),
    LOGICAL: PoolKind("logical", bound=True, files=False, formats=("lvm2",), asks=("host*", "path*", "devices")),
}
#: Kinds that are offered.
OFFERED = (DOS, NETFS, ISCSI, DIR, DISK, LOGICAL)

#: Where servers of each format answer, in the order in which they are looked for.
PORTS = {NFS: 2049, GLUSTERFS: 24007, CIFS: 445}
ISCSI_PORT = 3260

#: What bounds what stands in a task or on a screen.
_HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9][A-Za-z0-9-]{0,62})*\.?")
_TARGET = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:_-]{0,222}")
_SHARE = re.compile(r"[^/\\,:*?\"<>|]{1,80}(/[^/\\,:*?\"<>|]+)*")
_DEVICE = re.compile(r"/dev/[A-Za-z0-9][A-Za-z0-9._:+-]*(/[A-Za-z0-9][A-Za-z0-9._:+@-]*)*")


def server(value: str) -> None:
    """A server of storage: a host name or an IP address."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        if not _HOST_NAME.fullmatch(value) or re.fullmatch(r"[0-9.]+", value):
            raise InvalidInput(N_("A host name or an IP address is needed.")) from None


def target(value: str) -> None:
    """The name of an iSCSI target."""
    if not _TARGET.fullmatch(value):
        raise InvalidInput(N_("The name of a target is needed, such as iqn.2016-04.com.example:disks."))


def export(value: str) -> None:
    """What a server of NFS exports: an absolute path."""
    if not value.startswith("/") or len(value) > 1024 or not printable(value) or ".." in value.split("/"):
        raise InvalidInput(N_("The absolute path that the server exports is needed, such as /raid/disk-pool."))


def share(value: str) -> None:
    """The name of a share (CIFS) or a volume (GlusterFS), possibly with a directory in it."""
    plain = value.removeprefix("/")
    if not _SHARE.fullmatch(plain) or not printable(plain) or plain != plain.strip() or ".." in plain.split("/"):
        raise InvalidInput(N_("The name of the share or volume is needed, such as disks or disks/vm."))


def device(value: str) -> None:
    """A disk or a partition of a host."""
    if not _DEVICE.fullmatch(value):
        raise InvalidInput(N_("The path of a device is needed, such as /dev/sdb."))


def on_disk(disk: str, device: str) -> bool:
    """Whether a device is a disk or a partition of it, as far as their names tell."""
    return bool(re.fullmatch(re.escape(disk) + r"((p|-part)?[0-9]+)?", device))


def volume_group(value: str) -> None:
    """The directory of an LVM volume group."""
    if not re.fullmatch(r"/dev/[A-Za-z0-9+_.][A-Za-z0-9+_.-]*", value) or value in ("/dev/.", "/dev/.."):
        raise InvalidInput(N_("The directory of the volume group is needed, such as /dev/vg0."))


def user_name(value: str) -> None:
    """Who logs in at the server of the storage."""
    if len(value) > 64 or not printable(value) or any(c in value for c in " ,%\"'"):
        raise InvalidInput(N_("At most 64 printable characters without blanks, commas, quotes and percent signs."))


def target_path(kind: str, value: str) -> None:
    """Where the volumes of a pool appear on its hosts."""
    if kind == LOGICAL:
        volume_group(value)
    elif not KINDS[kind].path:
        directory(value)


def source(kind: str, volume_format: str, value: str) -> None:
    """What a pool is made of: an export or share, a target, or a device."""
    if kind == ISCSI:
        target(value)
    elif kind == DISK:
        device(value)
    elif volume_format == NFS or (volume_format == AUTO and value.startswith("/")):
        export(value)
    else:
        share(value)


def overlap(one: str, other: str) -> bool:
    """Whether one of two directories, absolute and without needless slashes, is the other or in it."""
    return within(one, other) or within(other, one)


def within(outer: str, inner: str) -> bool:
    """Whether a directory, absolute and without needless slashes, is another one or has it in it."""
    return (inner.rstrip("/") + "/").startswith(outer.rstrip("/") + "/")
