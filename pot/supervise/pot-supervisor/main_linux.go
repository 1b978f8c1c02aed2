package main

import (
	"os"

	"nomad-driver-pot/pot/linux/inside"
)

func init() {
	runs["jail"] = func([]string) int { return inside.Run(os.Stdin, os.Stdout) }
}
