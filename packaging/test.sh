#!/bin/bash
# All tests. Those that need no libvirtd come first, each worker with a MariaDB of its own; then those on real engines.
set -uo pipefail
cd "$(dirname "$0")/.."
report=$(mktemp -d)
trap 'rm -rf "$report"' EXIT
failed=0
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
# Three workers on two processors: the console's tests wait for a key's effect now and then. Whoever is done takes over
# what others have not begun.
part quick -n 3 --dist worksteal -m "not bench and not soak" --ignore=tests/engine --ignore=tests/lab --ignore=tests/e2e --ignore=tests/storage
# Each worker has a libvirtd and hosts of its own; they wait most of the time. Files in the order of tests/conftest.py.
part engines -n 3 --dist loadfile --no-loadscope-reorder -m "not bench and not soak" tests/engine tests/lab tests/e2e
# Alone: these are two whole machines, whose emulated guests take the time beside others that their tests wait for them.
# What fails in them is not repeated; it was not among others.
echo "== storage"
packaging/storage-vm/run.sh "$report/storage.xml" </dev/null || failed=1
.venv/bin/python packaging/closing-line.py "$report"/*.xml
exit $failed
