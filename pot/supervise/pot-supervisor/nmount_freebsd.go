package main

import (
	"os"

	"nomad-driver-pot/pot/freebsd/nmount"
)

func init() {
	runs["mount"] = func([]string) int { return nmount.Run(os.Stdin, os.Stderr) }
}
