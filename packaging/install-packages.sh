#!/bin/bash
# Installs the Debian packages listed in a file, those that are missing; as root or through sudo.
# Usage: install-packages.sh [--quiet-services] LIST
# --quiet-services: what they serve is not started (policy-rc.d, which invoke-rc.d asks).
set -euo pipefail
quiet=false
if [ "$1" = --quiet-services ]; then
	quiet=true
	shift
fi
mapfile -t wanted < <(grep -v '^#' "$1" | grep .)
missing=()
for package in "${wanted[@]}"; do
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || { echo "Run this as root, or install sudo." >&2; exit 1; }
	as_root=(sudo)
fi
echo "Installing Debian packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
policy=/usr/sbin/policy-rc.d
mine=
clean_up() {
	rm -f "$log"
	[ -z "$mine" ] || "${as_root[@]}" rm -f "$policy"
}
trap clean_up EXIT
if $quiet && [ ! -e "$policy" ]; then
	mine=yes
	printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
	"${as_root[@]}" chmod 755 "$policy"
fi
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1; }
# The lists may be old or missing; they are fetched only when the packages cannot be had without.
apt install --no-install-recommends "${missing[@]}" ||
	{ apt update && apt install --no-install-recommends "${missing[@]}"; } ||
	{ cat "$log" >&2; echo "The packages cannot be installed; see above." >&2; exit 1; }
