// Package local keeps pots by hand, as the commands of pot do: a pot has a dataset and a name
// of its own, and its pot.conf says how it is started.
//
// It is not used for tasks: package driver starts those by package life, from an image and a
// job. Both create a pot by the same steps (life.Pots.Create), so this package ends where a
// pot.Spec begins.
//
// Begin with Open, which returns a Pot, and with Pot.Apply, which makes a Change: there is one
// type of Change for each command that changes a pot (set_*.go, connect.go, copy.go). Start,
// Stop, Create, Clone, Rename and Destroy are functions of a life.Pots and a name.
package local
