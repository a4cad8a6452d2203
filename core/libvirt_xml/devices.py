"""The devices of a domain (https://libvirt.org/formatdomain.html#devices)."""

from __future__ import annotations

from core.libvirt_xml.builder import Children, Flag, Node, integer, on_off, text, yes_no


class Disk(Node):
    """A disk or CD drive over a file or a block device."""

    TAG = "disk"
    ORDER = ("driver", "source", "backingStore", "target", "readonly", "shareable")
    type = text("@type")
    device = text("@device")
    driver = text("driver/@name")
    format = text("driver/@type")
    cache = text("driver/@cache")
    error_policy = text("driver/@error_policy")
    copy_on_read = on_off("driver/@copy_on_read")
    discard = text("driver/@discard")
    file = text("source/@file")
    dev = text("source/@dev")
    encryption = text("source/encryption/@format")
    secret_type = text("source/encryption/secret/@type")
    secret = text("source/encryption/secret/@uuid")
    startup_policy = text("source/@startupPolicy")
    backing_type = text("backingStore/@type")
    backing_format = text("backingStore/format/@type")
    backing_file = text("backingStore/source/@file")
    ends_here = Flag("backingStore")
    backing_ends = Flag("backingStore/backingStore")
    target = text("target/@dev")
    bus = text("target/@bus")
    tray = text("target/@tray")
    removable = on_off("target/@removable")
    read_only = Flag("readonly")


class Channel(Node):
    """The security of a SPICE channel."""

    TAG = "channel"
    name = text("@name")
    mode = text("@mode")


class Graphics(Node):
    """A remote screen."""

    TAG = "graphics"
    ORDER = ("listen", "channel", "image", "jpeg", "zlib", "playback", "streaming", "filetransfer")
    type = text("@type")
    port = integer("@port")
    autoport = yes_no("@autoport")
    tls_port = integer("@tlsPort")
    listen = text("@listen")
    password = text("@passwd")
    password_valid_to = text("@passwdValidTo")
    connected = text("@connected")
    sharing = text("@sharePolicy")
    default_mode = text("@defaultMode")
    listen_type = text("listen/@type")
    listen_address = text("listen/@address")
    channels = Children("", Channel)
    image = text("image/@compression")
    jpeg = text("jpeg/@compression")
    zlib = text("zlib/@compression")
    playback = on_off("playback/@compression")
    streaming = text("streaming/@mode")
    file_transfer = yes_no("filetransfer/@enable")


class Serial(Node):
    """A serial port that ends in a pseudo-terminal of the host."""

    TAG = "serial"
    type = text("@type")
    port = integer("target/@port")


class Console(Node):
    """The guest's first console: the serial port."""

    TAG = "console"
    type = text("@type")
    target = text("target/@type")
    port = integer("target/@port")


class Input(Node):
    """A pointer or keyboard."""

    TAG = "input"
    type = text("@type")
    bus = text("@bus")


class Video(Node):
    """A graphics card."""

    TAG = "video"
    model = text("model/@type")


class Balloon(Node):
    """The memory balloon; ``period`` is seconds between the guest's reports."""

    TAG = "memballoon"
    model = text("@model")
    period = integer("stats/@period")


class Random(Node):
    """A source of random numbers for the guest."""

    TAG = "rng"
    model = text("@model")
    backend_model = text("backend/@model")
    backend = text("backend")
