#!/bin/sh
# Updates FreeBSD to the last patch level of its release. Does nothing if there is none.
set -eu
PAGER=cat
export PAGER
freebsd-update --not-running-from-cron fetch
status=0
freebsd-update --not-running-from-cron updatesready || status=$?
case $status in
0) freebsd-update --not-running-from-cron install ;;
2) ;; # freebsd-update(8): no updates are there to install
*) exit "$status" ;;
esac
rm -rf /var/db/freebsd-update
mkdir -p -m 0700 /var/db/freebsd-update
