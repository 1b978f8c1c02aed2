// Package native opens the host for pots on this machine. It is the only package that
// chooses a platform; package pot defines what a host is.
package native
