#!/bin/sh
# bundle.sh OUT OS ARCH: writes one tarball with all that a host (freebsd or linux)
# needs to run the tests, the demo and e2e, without Go or ssh: static programs, the
# agent, images, jobs, and the name of the commit that all of it was built from.
set -eu
out=$1 os=$2 arch=$3
cd "$(dirname "$0")/../.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
top=$dir/nomad-driver-pot-e2e
mkdir -p "$top/bin"

commit=$(git rev-parse HEAD 2>/dev/null | cut -c1-12)
[ -z "$(git status --porcelain 2>/dev/null)" ] || commit=$commit-dirty
echo "${commit:-unknown}" >"$top/commit"

export GOOS="$os" GOARCH="$arch" CGO_ENABLED=0
build() { go build -trimpath -ldflags '-s -w' "$@"; }
build -o "$top/bin/nomad-driver-pot" .
build -o "$top/bin/pot-supervisor" ./pot/supervise/pot-supervisor
build -o "$top/bin/demo" ./e2e/demo
build -o "$top/bin/runner" ./e2e/bundle/runner
build -o "$top/bin/sidecar" ./e2e/testdata/sidecar
# The programs that TestUpgrade upgrades, if this tree has its history.
old=$(sed -n 's/^const oldCommit = "\(.*\)"$/\1/p' e2e/upgrade_test.go)
if git cat-file -e "$old^{commit}" 2>/dev/null; then
	mkdir -p "$dir/old" "$top/bin/old"
	git archive "$old" | tar -xf - -C "$dir/old"
	(cd "$dir/old" && build -o "$top/bin/old/" . ./pot/supervise/pot-supervisor)
fi
(cd e2e/agent && build -o "$top/bin/nomad" github.com/hashicorp/nomad)

# Every package with tests, and what tests read of the tree: their testdata, and the
# documents that are held to the code.
e2e/bundle/packages.sh >"$top/packages"
while read -r pkg; do
	mkdir -p "$top/$pkg"
	go test -c -trimpath -tags e2e -ldflags '-s -w' -o "$top/$pkg/test" "./$pkg"
done <"$top/packages"
find . -name testdata -type d ! -path './bin/*' | tar -cf - -T - | tar -xf - -C "$top"
cp -R example-jobs docs GNUmakefile README.md CHANGELOG.md "$top/"
cp e2e/SEEN.md "$top/e2e/"
cp e2e/bundle/run "$top/run"
tar -C "$dir" -czf "$out" nomad-driver-pot-e2e
echo "$out: $(du -h "$out" | cut -f1), of commit $commit; on the host, as root: tar -xzf, then ./run"
