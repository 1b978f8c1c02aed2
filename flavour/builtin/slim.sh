#!/bin/sh
# Removes what a service does not need: manuals, examples, tests, compilers with their
# headers and static libraries, boot loaders and 32-bit libraries. Nothing can be built
# in the pot afterwards. pkg(8) and installed packages stay.
set -eu

cd /
rm -rf \
	boot rescue usr/include usr/lib/clang usr/lib32 usr/libdata/lint usr/tests \
	usr/libexec/bsdconfig usr/libexec/bsdinstall \
	usr/share/bsdconfig usr/share/doc usr/share/dtrace usr/share/examples \
	usr/share/info usr/share/man usr/share/openssl/man usr/share/sendmail \
	var/db/etcupdate var/db/freebsd-update
mkdir -p boot var/db/freebsd-update

for f in usr/lib/*.a usr/lib/*.o; do
	rm -f "$f"
done
for name in c++ CC cc c89 c99 cpp clang clang++ clang-cpp clang-tblgen lldb lldb-server \
	llvm-objdump llvm-tblgen llvm-profdata llvm-cov ld.lld gdb gdbserver; do
	rm -f "usr/bin/$name"
done
for name in bhyve bhyvectl bhyveload dtrace bsdinstall bsdconfig; do
	rm -f "usr/sbin/$name"
done
