"""Everything that talks to libvirt and QEMU; nothing else in DOSVM imports libvirt.

What leaves this package are plain dataclasses and the errors of :mod:`core.errors`.
"""
