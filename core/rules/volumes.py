"""What volumes can be: formats, and what QEMU does with each (manual 9.4.3, 9.4.4)."""

from __future__ import annotations

#: Formats that the QEMU of Debian 12 writes (of the manual's, it no longer knows cow).
FORMATS = ("qcow2", "raw", "qcow", "qed", "vmdk", "vpc")
#: Those among them that qemu-img can grow.
GROWING = ("qcow2", "raw", "qed")
