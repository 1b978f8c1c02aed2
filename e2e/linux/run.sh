#!/bin/sh
# run.sh BUNDLE DIR [STEP]...: has a machine, kept in DIR, run the tests of a bundle
# under a kernel of its own, whose control groups are of version 2: all of them but the
# benchmarks, if no step is named. Results that are not ok are shown in full.
set -eu
bundle=$(realpath "$1") dir=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
sh "$here/../vm/machine.sh" "$dir" xz-utils signify-openbsd ca-certificates
rm -rf "$dir/root/e2e"
mkdir "$dir/root/e2e"
tar -C "$dir/root/e2e" -xzf "$bundle"
cp "$here/init" "$dir/root/e2e/"
echo "${*:-unit host cli driver e2e demo}" >"$dir/root/e2e/steps"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
sh "$here/../vm/boot.sh" "$dir" /e2e/init 7200 | tee "$log"
grep -q '^e2e-linux: OK' "$log"
