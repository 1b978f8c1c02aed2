// Fate is a program that ends as it is told to, when it is told to: by signals, so
// that it can be told while nothing of Nomad's is there.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	told := make(chan os.Signal, 8)
	signal.Notify(told, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGHUP, syscall.SIGCONT)
	fmt.Println("ready")
	for s := range told {
		switch s {
		case syscall.SIGUSR1:
			os.Exit(0)
		case syscall.SIGUSR2:
			os.Exit(3)
		case syscall.SIGHUP:
			eat()
		default:
			fmt.Println("still here")
		}
	}
}

// eat takes memory until it is killed for it.
func eat() {
	var held [][]byte
	for {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		held = append(held, b)
		time.Sleep(time.Millisecond)
	}
}
