#!/bin/sh
# machine.sh DIR: makes in DIR what boots into a Debian 12 with OpenZFS, from
# Debian's packages alone: root/, its tree, with the module that zfs-dkms builds
# there for Debian's kernel. It takes minutes, once; what is there is left alone.
set -eu
dir=$1
[ ! -e "$dir/made" ] || exit 0
[ "$(id -u)" = 0 ] || { echo "e2e-zfs: not root" >&2; exit 1; }
command -v apt-get >/dev/null || { echo "e2e-zfs: needs Debian" >&2; exit 1; }
missing=""
for pair in mmdebstrap:mmdebstrap qemu-system-x86_64:qemu-system-x86 mke2fs:e2fsprogs; do
	command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair##*:}"
done
if [ -n "$missing" ]; then
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
fi

# The mirror is this machine's own, with contrib, where zfs-dkms is.
mirror=$(apt-get indextargets --format '$(SITE) $(COMPONENT)' 2>/dev/null | awk '$2 == "main" && /debian$|debian\/? / {print $1; exit}')
rm -rf "$dir/root"
mkdir -p "$dir"
mmdebstrap --variant=minbase --components=main,contrib \
	--include=linux-image-amd64,linux-headers-amd64,zfs-dkms,zfsutils-linux,busybox,kmod \
	--dpkgopt='path-exclude=/usr/share/man/*' \
	bookworm "$dir/root" "${mirror:-http://deb.debian.org/debian}"
ls "$dir"/root/lib/modules/*/updates/dkms/zfs.ko >/dev/null
touch "$dir/made"
