#!/bin/bash
# PID 1 of the virtual machine for storage: lays memory over the files that it sees, and goes on in there.
# `storage_tree` (this repository) and `storage_share` (a directory for results) come from the kernel's command line.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8

# Powers the machine off, whatever still runs in it.
end() {
	[ $# = 0 ] || echo "storage-vm: $*"
	poweroff -ff
}

# Second half: every file may be written now, and is forgotten at the end.
if [ "${1:-}" = inside ]; then
	umount -l /mnt
	# Stays root's only child: what is left without a parent is adopted and reaped here.
	"$storage_tree/packaging/storage-vm/inside.sh" &
	wait $!
	end
fi

mount -t proc proc /proc
modules=/usr/lib/uml/modules/$(uname -r)
insmod "$modules/kernel/fs/overlayfs/overlay.ko" || end "no overlay file system"
mount -t tmpfs -o mode=755 memory /mnt
mkdir /mnt/written /mnt/work /mnt/root
mount -t overlay -o lowerdir=/,upperdir=/mnt/written,workdir=/mnt/work root /mnt/root || end "no layer over /"
cd /mnt/root || end
mkdir -p lib/modules run tmp
ln -s "$modules" lib/modules/
mount -t proc proc proc
mount -t sysfs sys sys
mount -t devtmpfs dev dev
mkdir -p dev/pts dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts dev/pts
for place in run tmp dev/shm var/tmp; do mount -t tmpfs -o mode=1777 memory "$place"; done
chmod 755 run
# Where the repository itself is in one of these, it lies under the memory now.
if [ ! -e ".$storage_tree" ]; then
	mkdir -p ".$storage_tree" /mnt/tree /mnt/tree-work
	mount -t overlay -o "lowerdir=$storage_tree,upperdir=/mnt/tree,workdir=/mnt/tree-work" tree ".$storage_tree" ||
		end "no layer over the repository"
fi
mkdir run/share
mount -t hostfs -o "$storage_share" share run/share || end "no directory for results"
pivot_root . mnt || end "no new root"
exec "$0" inside </dev/console >/dev/console 2>&1
