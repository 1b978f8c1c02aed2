package main

import (
	"os"

	"nomad-driver-pot/pot/supervise/nmount"
)

func init() {
	modes["mount"] = func([]string) int { return nmount.Run(os.Stdin, os.Stderr) }
}
