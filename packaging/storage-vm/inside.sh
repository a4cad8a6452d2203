#!/bin/bash
# Inside the virtual machine for storage: makes it ready, runs the tests, and leaves the results in /run/share.
# libvirtd and servers of storage are started by the tests.
cd "$storage_tree" || exit
export DOSVM_STORAGE_VM=1 PYTHONDONTWRITEBYTECODE=1
hostname storage
ip link set lo up
echo "127.0.0.1 storage" >>/etc/hosts
# libvirtd asks every QEMU that it finds what it can, for 20 s each.
rm -f /usr/bin/qemu-system-i386
mkdir -p /dev/net /run/lock
modprobe -a veth nfs nfsd cifs dm_mod dm_snapshot iscsi_tcp sd_mod tun bridge loop
/lib/systemd/systemd-udevd --daemon
mapfile -d '' -t arguments </run/share/arguments
echo "storage-vm: up after $(cut -d' ' -f1 /proc/uptime) s"
.venv/bin/pytest -q -rA --color=no --durations=0 --junit-xml=/run/share/report.xml -o junit_suite_name=storage \
	"${arguments[@]:-tests/storage}"
echo $? >/run/share/code
echo "storage-vm: ended after $(cut -d' ' -f1 /proc/uptime) s"
