#!/bin/sh
# packages.sh: prints the directories of all packages that have tests on this GOOS, as
# seen from the project's root, which is "." itself.
set -eu
cd "$(dirname "$0")/../.."
go list -tags e2e -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}}{{end}}' ./... |
	sed -e "s|^$PWD/||" -e "s|^$PWD\$|.|"
