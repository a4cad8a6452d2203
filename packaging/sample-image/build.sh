#!/bin/bash
# Builds the sample guest's ISO from Debian's packages: the cloud kernel, busybox, isolinux. It boots as a CD and as a
# disk.
# Usage: build.sh OUTPUT.iso      needs: apt-get, dpkg, busybox (static), cpio, xorriso, gzip
set -euo pipefail
output=$(realpath -m "$1")
here=$(dirname "$(realpath "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# As root, apt would drop to a user who cannot write here, and only warns.
get() { apt-get -o APT::Sandbox::User=root -qq download "$@"; }
kernel() { apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' | head -n 1; }
if [ -z "$(kernel)" ]; then # apt's lists are not there yet
	as_root=()
	[ "$(id -u)" = 0 ] || as_root=(sudo)
	"${as_root[@]}" apt-get -qq update
fi
kernel=$(kernel)
[ -n "$kernel" ] || { echo "build.sh: apt knows no linux-image-cloud-amd64" >&2; exit 1; }
get "$kernel" isolinux syslinux-common
for package in *.deb; do dpkg -x "$package" unpacked; done

mkdir -p root/bin root/lib/modules iso/isolinux
cp "$(command -v busybox)" root/bin/busybox
install -m 755 "$here/init" root/init
cp "$here/modules" root/lib/modules/order
while read -r module; do
	find unpacked/lib/modules -name "$module.ko" -exec cp {} root/lib/modules/ \;
done <"$here/modules"
(cd root && find . | LC_ALL=C sort | cpio --quiet --reproducible -o -H newc -R 0:0) | gzip -9n >iso/initrd.gz
cp unpacked/boot/vmlinuz-* iso/vmlinuz
cp unpacked/usr/lib/ISOLINUX/isolinux.bin unpacked/usr/lib/syslinux/modules/bios/ldlinux.c32 iso/isolinux/
cp "$here/isolinux.cfg" iso/isolinux/

mkdir -p "$(dirname "$output")"
# xorriso greets on standard error whatever one asks; what it says matters only when it fails.
xorriso -as mkisofs -quiet -V DOSVM_SAMPLE -J -R -o "$output.part" \
	-b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table \
	-isohybrid-mbr unpacked/usr/lib/ISOLINUX/isohdpfx.bin iso 2>messages ||
	{ cat messages >&2; exit 1; }
mv "$output.part" "$output"
