#!/bin/sh
# build.sh OUT VERSION: puts a Nomad agent at OUT: a link to the one in PATH if
# that is at least VERSION, else one built from the module in this directory.
set -eu
out=$1 version=$2

have=$(command -v nomad || true)
if [ -n "$have" ]; then
	its=$("$have" version | sed -n '1s/^Nomad v\([0-9.]*\).*/\1/p')
	if [ "$(printf '%s\n%s\n' "$version" "${its:-0}" | sort -V | head -1)" = "$version" ]; then
		mkdir -p "$(dirname "$out")"
		ln -sf "$have" "$out"
		exit 0
	fi
	echo "nomad: $have is $its, older than $version: building one"
fi
out=$(mkdir -p "$(dirname "$out")" && cd "$(dirname "$out")" && pwd)/$(basename "$out")
cd "$(dirname "$0")"
if [ "$out" -nt go.mod ] && [ "$out" -nt go.sum ]; then
	exit 0
fi
echo "nomad: building an agent, which takes some minutes the first time"
CGO_ENABLED=0 go build -tags ui -trimpath -ldflags '-s -w' -o "$out" github.com/hashicorp/nomad
