// Package version is the version of this program: of the plugin, of the command line and of
// the node attribute driver.pot.version.
package version

import "runtime/debug"

// Number is the release that this tree is, or will be. CHANGELOG.md and the FreeBSD port
// have the same, which a test holds them to.
const Number = "0.2.0"

// String returns the version of this build, as hashicorp/go-version and semver.org read it.
// It is Number for a release: a build of the commit with the tag v<Number>, or of sources
// without git. Any other build is before that release and names its commit, for example
// 0.2.0-dev+e86883f4a1b2, with .dirty after it if files were changed.
func String() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Number
	}
	return of(info)
}

// of returns the version for what the go command recorded (debug.BuildSetting, vcs).
func of(info *debug.BuildInfo) string {
	if info.Main.Version == "v"+Number {
		return Number
	}
	var commit, suffix string
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value[:min(len(s.Value), 12)]
		case s.Key == "vcs.modified" && s.Value == "true":
			suffix = ".dirty"
		}
	}
	if commit == "" {
		return Number
	}
	return Number + "-dev+" + commit + suffix
}
