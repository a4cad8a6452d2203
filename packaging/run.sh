#!/bin/bash
# What `make run` does after setup: a cloud in DOSVM_HOME the first time, the services, hostd, the console.
# On leaving, it stops what it started. VMs that run are left running: they are libvirtd's, not the console's.
set -euo pipefail
cd "$(dirname "$0")/.."
export DOSVM_HOME="${DOSVM_HOME:-/var/lib/dosvm}"
dosvm=$PWD/.venv/bin/dosvm
sample=$PWD/.cache/sample-image/dosvm-sample.iso

# hostd moves files of QEMU's user and talks to libvirtd as root; so does everything here.
if [ "$(id -u)" != 0 ]; then
	exec sudo --preserve-env=DOSVM_HOME,LANG,LC_ALL,LC_MESSAGES,DOSVM_LANG,TERM,COLORTERM,NO_COLOR,SSH_CONNECTION "$0" "$@"
fi

started_services=
if ! packaging/services.sh answers; then
	packaging/services.sh start
	started_services=yes
fi

new=
if [ ! -e "$DOSVM_HOME/dosvm.toml" ]; then
	new=yes
	mkdir -p "$DOSVM_HOME"
	"$dosvm" init --database "sqlite:///$DOSVM_HOME/cloud.db" --yes | sed '$d' # its last line says what comes next: here it comes by itself
	sed -i "s|^\[config\]\$|&\nsample_image = \"$sample\"|" "$DOSVM_HOME/dosvm.toml"
	if [ -t 0 ]; then
		read -rp "Write the password down; press Enter to go on. "
		printf '\033[H\033[2J\033[3J' # who leaves the console later does not leave the password behind
	fi
fi

hostd=
leave() {
	if [ -n "$hostd" ]; then
		kill "$hostd" 2>/dev/null || true
		wait "$hostd" 2>/dev/null || true
	fi
	local running
	running=$(virsh -q -c qemu:///system list --name 2>/dev/null | grep -c . || true)
	# Our libvirtd stays when VMs run, another cloud's too: they would lose whoever watches over them.
	if [ "$running" != 0 ]; then
		echo "VMs that run on this machine: $running. They go on, and the next \`make run\` finds those of this cloud."
	elif [ -n "$started_services" ]; then
		packaging/services.sh stop
	fi
}
trap leave EXIT

if ! "$dosvm" hostd status >/dev/null 2>&1; then
	[ -n "$new" ] || "$dosvm" upgrade --yes # after a copy of an SQLite file; quick when there is nothing to do
	packaging/supervise.sh "$DOSVM_HOME/hostd.log" "$dosvm" hostd run &
	hostd=$!
	export DOSVM_HOSTD_ENDS=yes # the console says so of tasks that are under way when it is left
fi
"$dosvm"
