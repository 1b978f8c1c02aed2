#!/bin/sh
# plist.sh: prints pkg-plist(5) of the FreeBSD port: what `make install` installs, with the
# port's names for its directories, and the manual compressed, as the ports do it.
set -eu
cd "$(dirname "$0")/.."
make=make
case $(uname) in FreeBSD) make=gmake ;; esac
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
$make -s install BIN="$dir/bin" DESTDIR="$dir" PREFIX=/tree POT=%%POT%% >&2
cd "$dir/tree"
find . ! -type d | sed -e 's|^\./||' \
	-e 's|^share/examples/nomad-driver-pot/|%%PORTEXAMPLES%%%%EXAMPLESDIR%%/|' \
	-e 's|^share/doc/nomad-driver-pot/|%%PORTDOCS%%%%DOCSDIR%%/|' \
	-e 's|^share/man/.*$|&.gz|' | LC_ALL=C sort
