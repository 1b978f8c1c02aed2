// Package native is the host that pots have on this machine.
package native
