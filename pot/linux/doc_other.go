//go:build !linux

// Package linux is a Linux machine as a pot.Host; on other systems it is empty.
package linux
