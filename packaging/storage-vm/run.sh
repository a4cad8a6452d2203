#!/bin/bash
# Runs the tests of tests/storage in virtual machines whose kernel has what this machine's may lack: NFS, CIFS, iSCSI,
# device mapper. As root. Its kernel is Debian's user-mode-linux: a program, that sees this machine's files and changes none.
# Each has one processor, so all tests are run in two machines side by side; those that are chosen run in one.
# Usage: storage-vm/run.sh [REPORT.xml] [PYTEST ARGUMENTS]
set -euo pipefail
tree=$(cd "$(dirname "$0")/../.." && pwd)
report=${1:-}
shift || true
[ "$(id -u)" = 0 ] || exec sudo "$0" "$report" "$@"

# Seconds until a machine that hangs is ended.
limit=${STORAGE_VM_SECONDS:-1800}
# Results and logs of the last run stay here.
results=$tree/.cache/storage-vm
rm -rf "$results"
mkdir -p "$results"
# What lets it run on processors with more registers than it knows.
gcc -shared -fPIC -O2 -o "$results/xstate.so" "$tree/packaging/storage-vm/xstate.c"

# One machine from its start to its end, with a directory for its results and arguments of pytest; fails as its tests do.
machine() {
	local share=$1
	shift
	mkdir -p "$share"
	printf '%s\0' "$@" >"$share/arguments"
	# Its memory is a file in here, and its own files are below HOME. Output goes through a pipe: it waits for no file.
	HOME=$share TMPDIR=/dev/shm timeout --signal=KILL "$limit" env "LD_PRELOAD=$results/xstate.so" linux.uml \
		"mem=${STORAGE_VM_MEMORY:-4G}" root=none rootfstype=hostfs rootflags=/ ro quiet \
		con=null con0=null,fd:1 "init=$tree/packaging/storage-vm/init.sh" "storage_tree=$tree" "storage_share=$share" \
		</dev/null 2>"$share/kernel.log" | cat || true
	if [ ! -s "$share/code" ]; then
		echo "The virtual machine for storage ended without a result; its kernel's last words:" >&2
		tail -20 "$share/kernel.log" >&2
		return 1
	fi
	return "$(cat "$share/code")"
}

failed=0
if [ $# -gt 0 ]; then
	machine "$results" "$@" || failed=$?
	[ -z "$report" ] || [ ! -f "$results/report.xml" ] || cp "$results/report.xml" "$report"
	exit "$failed"
fi
# Of the same length, by what they took last.
second=(tests/storage/test_nfs.py tests/storage/test_nfs_limits.py tests/storage/test_two_hosts.py tests/storage/test_units.py)
machine "$results/second" "${second[@]}" >"$results/second.log" 2>&1 &
machine "$results/first" tests/storage "${second[@]/#/--ignore=}" || failed=$?
wait $! || failed=$?
cat "$results/second.log"
if [ -n "$report" ]; then
	# One report of both; a machine that ended without one has failed already.
	(
		echo '<testsuites>'
		sed -E 's/<\?xml[^>]*\?>//; s/<\/?testsuites[^>]*>//g' "$results"/{first,second}/report.xml 2>/dev/null || true
		echo '</testsuites>'
	) >"$report"
fi
exit "$failed"
