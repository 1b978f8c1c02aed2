package main

import (
	"os"

	"nomad-driver-pot/pot/freebsd/nmount"
)

func init() {
	modes["mount"] = func([]string) int { return nmount.Run(os.Stdin, os.Stderr) }
}
