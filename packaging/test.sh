#!/bin/bash
# All tests. Those that need no libvirtd come first, each worker with a MariaDB of its own; then those on real engines.
set -uo pipefail
cd "$(dirname "$0")/.."
report=$(mktemp -d)
failed=0
# The session of what runs beside the parts.
beside=
trap '[ -z "$beside" ] || pkill -s "$beside"; rm -rf "$report"' EXIT
part() {
	local name=$1
	shift
	echo "== $name"
	# A test that takes too long fails by a signal: ended with its thread, it would take a worker and its tests along.
	.venv/bin/pytest -q --durations=5 --timeout-method=signal --junit-xml="$report/$name.xml" "$@" </dev/null | tee "$report/$name.log"
	local code=${PIPESTATUS[0]}
	# 5: nothing was collected, which is no failure of a part
	[ $code -eq 0 ] || [ $code -eq 5 ] || again "$name" $code || failed=1
}
# Machines are shared: a few tests that fail are repeated once, alone. Those that pass then are told, not hidden:
# they wait for something in a wrong way and want mending.
again() {
	local name=$1 code=$2 tests
	mapfile -t tests < <(sed -nE 's/^(FAILED|ERROR) (tests\/[^ ]*::.*)$/\2/p' "$report/$name.log" | sed 's/ - .*//')
	[ "$code" -eq 1 ] && [ ${#tests[@]} -ge 1 ] && [ ${#tests[@]} -le 5 ] || return 1
	mkdir -p "$report/again"
	echo "== $name: what failed, repeated alone"
	.venv/bin/pytest -q --junit-xml="$report/again/$name.xml" "${tests[@]}" </dev/null || return 1
	echo "WARNING: unsteady tests in $name: they failed among others and passed alone: ${tests[*]}"
}
# The machine for storage is a kernel with a clock of its own, and waits most of the time. What fails in it is not
# repeated: it was not among others.
storage_begin() {
	STORAGE_VM_SECONDS=${STORAGE_VM_SECONDS:-1500} \
		setsid packaging/storage-vm/run.sh "$report/storage.xml" </dev/null >"$report/storage.log" 2>&1 &
	beside=$!
}
storage_end() {
	echo "== storage"
	wait "$beside" || failed=1
	beside=
	cat "$report/storage.log"
}
# It takes up to 4 GiB, as a file in memory; the tests that run beside it take 3, databases in memory included, and
# something is for the machine.
roomy() {
	local gib=$((1024 * 1024))
	[ "$(awk '/^MemAvailable/ { print $2 }' /proc/meminfo)" -ge $((10 * gib)) ] &&
		[ "$(df --output=avail /dev/shm | tail -1)" -ge $((6 * gib)) ]
}
roomy && storage_begin
# Three workers on two processors: the console's tests wait for a key's effect now and then. Whoever is done takes over
# what others have not begun.
part quick -n 3 --dist worksteal -m "not bench and not soak" --ignore=tests/engine --ignore=tests/lab --ignore=tests/e2e --ignore=tests/storage
begun=$beside
[ -z "$begun" ] || storage_end
# Each worker has a libvirtd and hosts of its own; they wait most of the time. Files in the order of tests/conftest.py.
part engines -n 3 --dist loadfile --no-loadscope-reorder -m "not bench and not soak" tests/engine tests/lab tests/e2e
[ -n "$begun" ] || { storage_begin; storage_end; }
.venv/bin/python packaging/closing-line.py "$report"/*.xml
exit $failed
