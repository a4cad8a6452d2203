#!/bin/bash
# Lint, format, types, contracts, translations: all are run, and all findings told, before it fails.
set -uo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin
failed=()
run() {
	local name=$1
	shift
	"$@" || failed+=("$name")
}
run lint $bin/ruff check --quiet .
run format $bin/ruff format --quiet --check --diff .
run types $bin/mypy
run contracts $bin/lint-imports --no-logo
run translations $bin/python packaging/translations.py check
run shell bash -n packaging/*.sh packaging/sample-image/build.sh
[ ${#failed[@]} -eq 0 ] || { echo "check failed: ${failed[*]}" >&2; exit 1; }
echo "check: lint, format, types, contracts, translations hold"
