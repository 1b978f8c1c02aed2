// Package network keeps which pot has which address, and which private bridges there are, in
// files that all processes of this host share.
//
// It configures no interface, no route and no firewall: a pot.Host does. It does not know which
// pots exist: the functions in Addresses tell it.
//
// Begin with Addresses.Allocate and Addresses.Release, and with Bridges.
package network
