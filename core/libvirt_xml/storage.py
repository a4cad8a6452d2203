"""Pools (https://libvirt.org/formatstorage.html)."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from core.libvirt_xml.builder import Children, Node, integer, text
from core.rules.pools import CIFS, ISCSI, LOGICAL, NETFS
from core.specs.pool import PoolOrder

#: Namespace of libvirt's element with options for mount(8).
_OPTIONS = "http://libvirt.org/schemas/storagepool/fs/1.0"
ElementTree.register_namespace("fs", _OPTIONS)


class Device(Node):
    """What a pool is made of."""

    TAG = "device"
    path = text("@path")


class Pool(Node):
    """A storage pool."""

    TAG = "pool"
    ORDER = ("name", "uuid", "source", "target")
    type = text("@type")
    name = text("name")
    uuid = text("uuid")
    server = text("source/host/@name")
    port = integer("source/host/@port")
    directory = text("source/dir/@path")
    devices = Children("source", Device)
    group = text("source/name")
    format = text("source/format/@type")
    vendor = text("source/vendor/@name")
    product = text("source/product/@name")
    path = text("target/path")


def pool_xml(order: PoolOrder, *, options: Sequence[str] = ()) -> str:
    """The description of a pool (manual 9.3.2).

    Its name in libvirt ends in the start of its UUID: a host may have a pool of the same name that is not ours.
    It has no account: hostd logs in (``hostd.iscsi``), or mounts with the password in a file (``hostd.netfs``).

    Args:
        order: the pool.
        options: for mount(8), of a network file system.
    """
    pool = Pool(type=order.what.libvirt, name=f"{order.name}-{order.uuid[:8]}", uuid=order.uuid, path=order.path)
    pool.server = order.server or None
    # Of network file systems libvirt takes it as an option only.
    pool.port = order.port if order.port and order.kind == ISCSI else None
    pool.format = order.format or None
    if order.kind == NETFS:
        pool.directory = order.source.strip("/") if order.format == CIFS else order.source
    elif order.source:
        pool.devices = (Device(path=order.source),)
    elif order.devices:
        pool.devices = tuple(Device(path=device) for device in order.devices)
    if order.kind == LOGICAL:
        pool.group = order.path.rsplit("/", 1)[-1]
    pool.vendor = order.vendor or None
    pool.product = order.product or None
    if options:
        words = ElementTree.SubElement(pool.element, f"{{{_OPTIONS}}}mount_opts")
        for option in options:
            ElementTree.SubElement(words, f"{{{_OPTIONS}}}option", name=option)
    return pool.xml()
