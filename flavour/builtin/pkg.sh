#!/bin/sh
# Gets pkg(8) ready, so that flavours after this one can install with it.
set -eu
ASSUME_ALWAYS_YES=yes
export ASSUME_ALWAYS_YES
pkg bootstrap
pkg update -q
