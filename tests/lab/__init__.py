"""Several hosts on one machine: real libvirt, QEMU and hostd on each, one database."""
