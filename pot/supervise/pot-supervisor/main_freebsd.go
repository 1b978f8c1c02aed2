package main

import "nomad-driver-pot/pot/supervise"

func init() { runs["enter"] = supervise.Enter }
