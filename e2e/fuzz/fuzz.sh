#!/bin/sh
# fuzz.sh TIME: fuzzes each Fuzz function of the tree for TIME, such as 30s, one after
# another. A function that fails does not keep the next from running. fuzz.sh list prints
# the functions, each with its package.
set -eu
cd "$(dirname "$0")/../.."

list() {
	go list -f '{{$p := .}}{{range .TestGoFiles}}{{$p.ImportPath}} {{$p.Dir}}/{{.}}
{{end}}{{range .XTestGoFiles}}{{$p.ImportPath}} {{$p.Dir}}/{{.}}
{{end}}' ./... | while read -r pkg file; do
		[ -z "$file" ] || sed -n "s|^func \(Fuzz[A-Za-z0-9_]*\)(.*|$pkg \1|p" "$file"
	done
}

case ${1:?usage: fuzz.sh TIME} in
list)
	list
	exit
	;;
esac
failed=""
functions=$(list | tr ' ' ,)
for function in $functions; do
	pkg=${function%,*} name=${function##*,}
	echo "==> $pkg $name"
	go test -run '^$' -fuzz "^$name\$" -fuzztime "$1" "$pkg" || failed="$failed $name"
done
[ -z "$failed" ] || { echo "fuzz: failed:$failed" >&2; exit 1; }
