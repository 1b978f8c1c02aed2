#!/bin/sh
# boot.sh DIR INIT SECONDS: boots the machine of DIR, from a disk that is made of
# its tree and thrown away, with INIT as its first process. What it says goes to
# stdout. It has 10.0.2.15 of QEMU's own network, and nothing beyond it.
set -eu
dir=$1 init=$2 seconds=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
kernel=$(ls "$dir"/root/boot/vmlinuz-* | tail -n 1)
initrd=$(ls "$dir"/root/boot/initrd.img-* | tail -n 1)
mke2fs -q -t ext4 -d "$dir/root" "$work/disk" 6G
timeout -k 10 "$seconds" qemu-system-x86_64 -machine pc -accel tcg,thread=multi -cpu max -smp 2 -m 4G \
	-kernel "$kernel" -initrd "$initrd" -no-reboot -display none -serial stdio \
	-nic user,model=virtio-net-pci,restrict=on \
	-append "root=/dev/vda rw console=ttyS0 quiet init=$init net.ifnames=0 panic=-1" \
	-drive "file=$work/disk,format=raw,if=virtio,cache=unsafe" </dev/null
