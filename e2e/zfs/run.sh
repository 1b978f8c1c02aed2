#!/bin/sh
# run.sh POT DIR: has the pot program POT build an image of a tree with every kind
# of file, and a machine with OpenZFS, kept in DIR, receive it.
set -eu
pot=$(realpath "$1") dir=$2
here=$(cd "$(dirname "$0")" && pwd)
sh "$here/../vm/machine.sh" "$dir" linux-headers-amd64 zfs-dkms zfsutils-linux
ls "$dir"/root/lib/modules/*/updates/dkms/zfs.ko >/dev/null # zfs-dkms built it there, for Debian's kernel
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

tree=$work/tree
mkdir -p "$tree/many" "$tree/empty" "$tree/deep/1/2/3/4/5/6/7/8"
cd "$tree"
printf 'some text\n' >file
head -c 3000001 /dev/urandom >big
head -c 131072 /dev/urandom >block
: >nothing
truncate -s 3G sparse
printf x | dd of=sparse bs=1 seek=2000000000 conv=notrunc status=none
ln file hard
ln -s file short
ln -s "$(head -c 900 /dev/zero | tr '\0' l)" long
mkfifo fifo
mknod char c 1 3
mknod block8 b 8 1
touch "$(head -c 255 /dev/zero | tr '\0' n)" 'ünïcode ☃'
i=0
while [ $i -lt 4000 ]; do
	: >"many/name-$i-with-more-behind-it"
	i=$((i + 1))
done
chmod 4755 file; chmod 2775 empty; chmod 1777 deep; chmod 0 nothing
chown 80:81 big; chown -h 1234:5678 short
touch -d '1969-07-20 20:17:40.123456789 UTC' block; touch -d '2038-01-20' empty
cd /

"$pot" image build --from "$tree" -p odd -t 1.0 -D "$work" >/dev/null
rm -rf "$dir/root/e2e"
mkdir "$dir/root/e2e"
xz -dc "$work/odd_1.0.xz" >"$dir/root/e2e/stream"
sh "$here/list.sh" "$tree" >"$dir/root/e2e/want"
cp "$here/list.sh" "$here/init" "$dir/root/e2e/"

sh "$here/../vm/boot.sh" "$dir" /e2e/init 900 | tee "$work/log"
grep -q '^e2e-zfs: OK' "$work/log"
