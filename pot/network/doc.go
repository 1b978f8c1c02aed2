// Package network keeps which pot has which address, and which private bridges there are, in
// files that all processes of this host share.
//
// It configures no interface, no route and no firewall: that is a pot.Host's. It does not know
// which pots exist, either: its caller says so, by the functions in Addresses.
//
// Begin with Addresses.Allocate and Addresses.Release, and with Bridges.
package network
