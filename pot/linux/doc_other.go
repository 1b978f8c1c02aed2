//go:build !linux

// Package linux implements pot.Host on a Linux machine; on other systems it is empty.
package linux
