#!/bin/sh
# Installs pkg(8) and its catalogue, so that later flavours can install packages.
set -eu
ASSUME_ALWAYS_YES=yes
export ASSUME_ALWAYS_YES
pkg bootstrap
pkg update -q
