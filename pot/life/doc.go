// Package life runs one pot from its creation to its removal: the clone of the image's
// tree, its mounts, its address, its jail, its limits, its command, and the removal of all
// of them.
//
// The order of these parts, and the record of them on disk, are here, once for all hosts;
// how a host makes each part is behind pot.Host. The package knows neither Nomad (package
// driver) nor where images come from (package image). Pots that a person keeps by hand are
// in package local, which starts and stops them through this one.
//
// To follow a task's pot, read in this order:
//
//   - Pots.Create (pots.go) makes the pot with nothing running in it. Its steps are listed
//     in steps.go: clone, attributes, configure, copy, mount, jail and limit are in pot.go;
//     address, link and publish in connect.go; hooks in hooks.go.
//   - record.go is the file that lets another process find the pot (Pots.Find) and destroy
//     what a crash has left.
//   - Pot.Start, Pot.Wait and Pot.Stop (start.go) run the command under a supervisor
//     (package supervise), return how it ended, and end it. Pot.Exec (exec.go) runs further
//     commands beside it.
//   - Pot.Destroy (steps.go) undoes the steps, each before the steps that it needs.
package life
