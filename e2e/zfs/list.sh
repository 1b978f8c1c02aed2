#!/bin/sh
# list.sh DIR: a line for each thing in DIR, with all that stat(2) tells of it, and
# the sums of files' contents, sorted.
set -eu
cd "$1"
find . -mindepth 1 \( \
	-type d -printf '%P d %m %U %G %T@\n' -o \
	-type l -printf '%P l %U %G %l\n' -o \
	-printf '%P %y %m %U %G %s %n %T@\n' \) | LC_ALL=C sort
find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum
