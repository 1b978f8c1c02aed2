#!/bin/sh
# bundle.sh OUT OS ARCH: writes one tarball with all that a host (freebsd or linux)
# needs to run the tests, the demo and e2e, without Go or ssh: static programs, the
# agent, images (within the programs), jobs, and a script for /bin/sh.
set -eu
out=$1 os=$2 arch=$3
cd "$(dirname "$0")/../.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
top=$dir/nomad-driver-pot-e2e
mkdir -p "$top/bin"

export GOOS="$os" GOARCH="$arch" CGO_ENABLED=0
build() { go build -trimpath -ldflags '-s -w' "$@"; }
build -o "$top/bin/nomad-driver-pot" .
build -o "$top/bin/pot-supervisor" ./pot/supervise/pot-supervisor
build -o "$top/bin/demo" ./e2e/demo
(cd e2e/agent && build -o "$top/bin/nomad" github.com/hashicorp/nomad)
mkdir -p "$top/image/zstream"
cp -R image/zstream/testdata "$top/image/zstream/" # images that hosts' tests import
for pkg in pot pot/run pot/supervise "pot/$os" image image/xz image/signify image/skein driver; do
	mkdir -p "$top/$pkg"
	go test -c -o "$top/$pkg/test" "./$pkg"
	[ ! -d "$pkg/testdata" ] || cp -R "$pkg/testdata" "$top/$pkg/"
done
mkdir -p "$top/e2e"
go test -c -tags e2e -o "$top/e2e/test" ./e2e
[ ! -d e2e/testdata ] || cp -R e2e/testdata "$top/e2e/"
cp -R example-jobs README.md "$top/"
cp e2e/bundle/run "$top/run"
tar -C "$dir" -czf "$out" nomad-driver-pot-e2e
echo "$out: $(du -h "$out" | cut -f1); on the host, as root: tar -xzf, then ./run"
