//go:build !freebsd

package imagetest

import "embed"

const helloName = "hello-linux"

//go:embed testdata/hello-linux_1.0.xz testdata/hello-linux_1.0.xz.meta testdata/hello-linux_1.0.xz.skein
var files embed.FS
