#!/bin/bash
# All tests. Those without real engines run in parallel first, then the engines' one after another, then the lab alone.
set -uo pipefail
cd "$(dirname "$0")/.."
report=$(mktemp -d)
trap 'rm -rf "$report"' EXIT
failed=0
part() {
	local name=$1
	shift
	echo "== $name"
	.venv/bin/pytest -q --durations=5 --junit-xml="$report/$name.xml" "$@" </dev/null
	local code=$?
	# 5: nothing was collected, which is no failure of a part
	[ $code -eq 0 ] || [ $code -eq 5 ] || failed=1
}
part quick -n 2 --dist loadfile -m "not engine and not lab and not bench and not soak"
part engine -m "engine and not lab and not bench and not soak"
part lab -m "lab and not bench and not soak"
.venv/bin/python packaging/closing-line.py "$report"/*.xml
exit $failed
