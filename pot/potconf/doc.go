// Package potconf reads pot's own configuration, pot.conf, as far as this project uses it,
// and decides from it, from what a person overrides and from each system's defaults how a
// host is opened (HostConfig) and what its pots share (Config).
//
// The driver and the command line both call Configure, so that both see the same pots. Start
// reading there.
package potconf
