#!/bin/sh
# dist.sh OUT: writes the archives of a release of the checked-out commit into OUT: one for
# each of PLATFORMS, to unpack below a prefix such as /usr/local; the sources with all
# libraries, which the FreeBSD port is built from; and SHA256SUMS. The same commit and the
# same Go give the same bytes, wherever and whenever that is done.
set -eu
out=$1
platforms=${PLATFORMS:-freebsd/amd64 freebsd/arm64 linux/amd64 linux/arm64}
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$(dirname "$0")/.."

fail() { echo "dist: $*" >&2; exit 1; }
tar=tar make=make
case $(uname) in FreeBSD) tar=gtar make=gmake ;; esac
$tar --version 2>/dev/null | grep -q 'GNU tar' || fail "needs GNU tar: pkg install gtar"
[ -z "$(git status --porcelain)" ] || fail "commit your changes first: an archive is of a commit"

umask 022
export LC_ALL=C TZ=UTC
unset TAR_OPTIONS GZIP
export GOAMD64=v1 GOARM64=v8.0 GOEXPERIMENT= GOFIPS140=off # whatever the caller's are
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# pack NAME: writes NAME.tar.gz of the directory NAME: names in order, no owners, one time.
pack() {
	find "$dir/$1" -type d -exec chmod 755 {} +
	find "$dir/$1" -type f -perm -100 -exec chmod 755 {} +
	find "$dir/$1" -type f ! -perm -100 -exec chmod 644 {} +
	$tar -C "$dir" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
		--format=ustar -cf "$dir/$1.tar" "$1"
	gzip -9n <"$dir/$1.tar" >"$out/$1.tar.gz"
	rm -rf "${dir:?}/$1" "$dir/$1.tar"
	echo "$1.tar.gz"
}

$make -s install BIN="$dir/bin" DESTDIR="$dir" PREFIX=/tree
version=$("$dir/bin/pot" version)
version=${version#pot }
rm -f "$out"/nomad-driver-pot-*.tar.gz "$out/SHA256SUMS"
for platform in $platforms; do
	name=nomad-driver-pot-$version-$(echo "$platform" | tr / -)
	cp -R "$dir/tree" "$dir/$name"
	GOOS=${platform%/*} GOARCH=${platform#*/} $make -s programs BIN="$dir/$name/libexec/nomad/plugins"
	cp LICENSE "$dir/$name/share/doc/nomad-driver-pot/"
	pack "$name"
done

name=nomad-driver-pot-$version
mkdir "$dir/$name"
git archive -o "$dir/sources.tar" HEAD
$tar -xf "$dir/sources.tar" -C "$dir/$name"
(cd "$dir/$name" && go mod vendor)
pack "$name"

cd "$out"
sha256sum nomad-driver-pot-*.tar.gz >SHA256SUMS
