#!/bin/sh
# Installs what the project needs and a fresh Debian 12 lacks. It may be run
# again at any time: what is there is left alone.
set -eu

want="go 1.26: https://go.dev/dl, or golang from a newer Debian"
if ! command -v go >/dev/null; then
	echo "deps: there is no Go here: install $want" >&2
	exit 1
fi

missing=""
for pair in git:git make:make gcc:gcc xz:xz-utils signify-openbsd:signify-openbsd bmake:bmake umoci:umoci; do
	command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair##*:}"
done
# The race detector is linked with the C library's headers.
[ -e /usr/include/stdlib.h ] || [ "$(uname)" != Linux ] || missing="$missing libc6-dev"

if [ -n "$missing" ]; then
	if ! command -v apt-get >/dev/null; then
		echo "deps: install:$missing" >&2
		exit 1
	fi
	if [ "$(id -u)" != 0 ]; then
		echo "deps: not root: run as root: apt-get install -y$missing" >&2
		exit 1
	fi
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
fi

# Overlayfs is a module on Debian; where it is built in, or this is not Linux,
# there is nothing to load.
if [ "$(uname)" = Linux ] && [ "$(id -u)" = 0 ] && ! grep -qw overlay /proc/filesystems; then
	modprobe overlay || echo "deps: no overlayfs in this kernel: the Linux host needs it" >&2
fi
go mod download
