package imagetest

import "embed"

const helloName = "hello-freebsd"

//go:embed testdata/hello-freebsd_1.0.xz testdata/hello-freebsd_1.0.xz.meta testdata/hello-freebsd_1.0.xz.skein
var files embed.FS
