package conf

import "regexp"

// releases matches versions of FreeBSD's userland, as freebsd-version(1) and pot write them:
// 14.2, 15.0-RC1, 14.2-RELEASE-p3, 16.0-CURRENT.
var releases = regexp.MustCompile(`^[0-9]{1,3}\.[0-9]{1,3}(-[A-Z][A-Z0-9.]{0,19})?(-p[0-9]{1,4})?$`)

// ValidRelease reports whether text is a release of FreeBSD, with or without its branch.
func ValidRelease(text string) bool { return releases.MatchString(text) }
