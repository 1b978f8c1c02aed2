// Package agent holds nothing but the module that the Nomad agent of the tests
// and of the demo is built from: its dependencies stay out of the driver's.
package agent
