#!/bin/bash
# supervise.sh LOG COMMAND...: runs a daemon until SIGTERM, and starts it again, after a pause, when it ends by itself.
# Where systemd is not (`make run`), this is what systemd does elsewhere.
set -uo pipefail
log=$1
shift
# All that is said goes there, what bash says of a daemon that was killed as well: over the console it would stay.
exec >>"$log" 2>&1
child=
ending=
trap 'ending=yes; [ -z "$child" ] || kill "$child" 2>/dev/null' TERM INT HUP

pause=1
while [ -z "$ending" ]; do
	began=$SECONDS
	"$@" &
	child=$!
	[ -z "$ending" ] || kill "$child" 2>/dev/null
	wait "$child"
	code=$?
	# A signal ends the wait and not yet the daemon.
	while kill -0 "$child" 2>/dev/null; do wait "$child"; done
	child=
	[ -z "$ending" ] || break
	# Who ran for a minute has proved itself; who ends at once is not asked every second for ever.
	[ $((SECONDS - began)) -lt 60 ] || pause=1
	echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) supervise: $1 ended ($code); it is started again in $pause s"
	sleep "$pause" &
	child=$!
	wait "$child"
	child=
	pause=$((pause < 30 ? pause * 2 : 60))
done
