#!/bin/sh
# remote.sh BUNDLE HOST [STEP]...: copies the bundle to a FreeBSD host by ssh, runs
# it there as root, and brings the results back beside the bundle. SSH is the
# command, as in SSH="ssh -p 2222".
set -eu
bundle=$1 host=$2
shift 2
[ -n "$host" ] || { echo "usage: make e2e-freebsd HOST=user@host [STEPS='host bench']" >&2; exit 2; }
ssh=${SSH:-ssh}
there=$($ssh "$host" 'mktemp -d /tmp/nomad-driver-pot-e2e.XXXXXX')
trap '$ssh "$host" "rm -rf $there"' EXIT
$ssh "$host" "tar -C $there -xzf -" <"$bundle"
sudo='[ "$(id -u 2>/dev/null || echo 0)" = 0 ] || sudo=sudo;' # without id(1), run itself says that it needs root
status=0
$ssh "$host" "$sudo cd $there/nomad-driver-pot-e2e && \${sudo-} ./run $*" || status=$?
results=$(dirname "$bundle")/results
rm -rf "$results" && mkdir -p "$results"
$ssh "$host" "tar -C $there/nomad-driver-pot-e2e/results -cf - ." | tar -C "$results" -xf -
echo "results: $results; the row for e2e/SEEN.md is in seen.md"
exit $status
