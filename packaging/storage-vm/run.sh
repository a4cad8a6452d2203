#!/bin/bash
# Runs the tests of tests/storage in a virtual machine whose kernel has what this machine's may lack: NFS, CIFS, iSCSI,
# device mapper. As root. Its kernel is Debian's user-mode-linux: a program, that sees this machine's files and changes none.
# Usage: storage-vm/run.sh [REPORT.xml] [PYTEST ARGUMENTS]
set -euo pipefail
tree=$(cd "$(dirname "$0")/../.." && pwd)
report=${1:-}
shift || true
[ "$(id -u)" = 0 ] || exec sudo "$0" "$report" "$@"

# Seconds until a machine that hangs is ended.
limit=${STORAGE_VM_SECONDS:-1800}
# Results and logs of the last run stay here.
share=$tree/.cache/storage-vm
rm -rf "$share"
mkdir -p "$share"
printf '%s\0' "$@" >"$share/arguments"

# What lets it run on processors with more registers than it knows.
gcc -shared -fPIC -O2 -o "$share/xstate.so" "$tree/packaging/storage-vm/xstate.c"

# Its memory is a file in here, and its own files are below HOME. Output goes through a pipe: it waits for no file.
HOME=$share TMPDIR=/dev/shm timeout --signal=KILL "$limit" env "LD_PRELOAD=$share/xstate.so" linux.uml \
	"mem=${STORAGE_VM_MEMORY:-4G}" root=none rootfstype=hostfs rootflags=/ ro quiet \
	con=null con0=null,fd:1 "init=$tree/packaging/storage-vm/init.sh" "storage_tree=$tree" "storage_share=$share" \
	</dev/null 2>"$share/kernel.log" | cat || true

if [ ! -s "$share/code" ]; then
	echo "The virtual machine for storage ended without a result; its kernel's last words:" >&2
	tail -20 "$share/kernel.log" >&2
	exit 1
fi
[ -z "$report" ] || cp "$share/report.xml" "$report"
exit "$(cat "$share/code")"
