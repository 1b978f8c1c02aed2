// Package local keeps pots by hand, as the commands of pot do: a pot has a dataset and a name
// of its own, and its pot.conf says how it is started.
//
// It is not used for tasks: package driver creates their pots by package life, from an image and
// a job. Both ways create a pot by the same steps (life.Pots.Create): this package turns a
// pot.conf into the pot.Spec for them.
//
// Begin with Open, which returns a Pot, and with Pot.Apply, which makes a Change: there is one
// type of Change for each command that changes a pot (set_*.go, connect.go, copy.go). Start,
// Stop, Create, Clone, Rename and Destroy are functions of a life.Pots and a name.
package local
