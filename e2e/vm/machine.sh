#!/bin/sh
# machine.sh DIR PACKAGE...: makes in DIR what boots into a Debian 12 with these
# packages, from Debian's alone: root/, its tree, with Debian's kernel. It takes
# minutes, once; what is there with the same packages is left alone.
set -eu
dir=$1
shift
[ "$(cat "$dir/made" 2>/dev/null)" != "$*" ] || exit 0
[ "$(id -u)" = 0 ] || { echo "machine: not root" >&2; exit 1; }
command -v apt-get >/dev/null || { echo "machine: needs Debian" >&2; exit 1; }
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
rm -rf "$dir/root" "$dir/made"
mkdir -p "$dir"
mmdebstrap --variant=minbase --components=main,contrib \
	--include="linux-image-amd64,busybox,kmod,$(echo "$*" | tr ' ' ,)" \
	--dpkgopt='path-exclude=/usr/share/man/*' \
	bookworm "$dir/root" "${mirror:-http://deb.debian.org/debian}"
echo "$*" >"$dir/made"
