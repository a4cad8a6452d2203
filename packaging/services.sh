#!/bin/bash
# Starts libvirtd (and virtlogd) when nobody did, and stops what it started.
# Usage: services.sh start|stop|answers (whether both are there)
#
# Where systemd runs, it is asked to. Elsewhere (containers) both run under `tini -s`, which reaps libvirtd's
# children at once: under an init that does not, every start and stop of a VM takes seconds longer.
set -euo pipefail
pids=/run/dosvm-services

if [ "$(id -u)" != 0 ]; then
	exec sudo "$0" "$@"
fi

libvirtd_answers() { timeout 5 virsh -q -c qemu:///system uri >/dev/null 2>&1; }

# By its socket: a process of that name may be one of a container's, which this libvirtd cannot reach.
virtlogd_answers() {
	timeout 5 python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect("/run/libvirt/virtlogd-sock")' 2>/dev/null
}

answers() { libvirtd_answers && virtlogd_answers; }

# Whether the pid remembered for a program is still that program.
ours() { [ -s "$pids/$1.pid" ] && grep -q "^tini" "/proc/$(cat "$pids/$1.pid")/comm" 2>/dev/null; }

# Debian's udev gives /dev/kvm to the group kvm, which QEMU's user is in. Where no udev ran it is root's alone: then
# libvirtd finds KVM with one eye and not with the other, and asks every QEMU anew what it can at every start (15 s).
open_kvm() {
	[ -c /dev/kvm ] && [ "$(stat -c %G%a /dev/kvm)" = root600 ] && getent group kvm >/dev/null || return 0
	chgrp kvm /dev/kvm && chmod 660 /dev/kvm
}

launch() {
	local name=$1
	ours "$name" && return
	setsid tini -s -- "$name" </dev/null >>"$pids/$name.log" 2>&1 &
	echo $! >"$pids/$name.pid"
}

start() {
	answers && return
	if [ -d /run/systemd/system ]; then
		systemctl start virtlogd.socket libvirtd.socket libvirtd
	else
		mkdir -p "$pids"
		open_kvm
		virtlogd_answers || launch virtlogd
		libvirtd_answers || launch libvirtd
	fi
	for _ in $(seq 100); do
		answers && return
		sleep 0.2
	done
	local silent=libvirtd
	libvirtd_answers && silent=virtlogd
	echo "$silent does not answer; see $pids/$silent.log or journalctl -u $silent" >&2
	exit 1
}

stop() {
	for name in libvirtd virtlogd; do
		if ours "$name"; then
			kill "$(cat "$pids/$name.pid")" 2>/dev/null || true
		fi
		rm -f "$pids/$name.pid"
	done
}

case ${1:-} in
start) start ;;
stop) stop ;;
answers) answers ;;
*) echo "Usage: services.sh start|stop|answers" >&2; exit 2 ;;
esac
