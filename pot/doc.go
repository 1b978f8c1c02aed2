// Package pot has the words that all who work with pots share: Spec is what a pot is
// created from, and Host is the machine that it is created on.
//
// Host is the seam between what is the same on every system (packages life and local) and
// what each system does in its own way (packages freebsd and linux). This package runs
// nothing: it validates specs and names what hosts return.
//
// Start with Spec (spec.go) and Host (host.go); then read package life, which creates,
// starts, stops and destroys a pot by calling a Host.
package pot
