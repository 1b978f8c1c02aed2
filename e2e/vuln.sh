#!/bin/sh
# vuln.sh GOVULNCHECK: checks the tree for both systems. Status 3 of govulncheck is a
# vulnerability; any other failure is most often a database out of reach.
set -eu
cd "$(dirname "$0")/.."
for os in freebsd linux; do
	status=0
	GOOS=$os "$1" ./... || status=$?
	case $status in
	0) ;;
	3) echo "vuln: $os: the programs call code with known vulnerabilities" >&2; exit 1 ;;
	*) echo "vuln: $os: govulncheck has no result; it needs https://vuln.go.dev, or GOVULNDB with the URL of a copy" >&2; exit 2 ;;
	esac
done
