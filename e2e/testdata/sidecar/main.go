// Sidecar is what tasks beside another run: a proxy, or a shipper of logs.
//
//	sidecar proxy LISTEN TO     relays connections from one address to another
//	sidecar ship FILE           prints the lines of a file, and those that follow
package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

func main() {
	err := errors.New("usage: sidecar proxy LISTEN TO | ship FILE")
	switch args := os.Args[1:]; {
	case len(args) == 3 && args[0] == "proxy":
		err = proxy(args[1], args[2])
	case len(args) == 2 && args[0] == "ship":
		err = ship(args[1])
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// proxy relays each connection at the address listen to the address to.
func proxy(listen, to string) error {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Println("relaying to", to)
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go relay(c, to)
	}
}

func relay(c net.Conn, to string) {
	defer c.Close()
	service, err := net.Dial("tcp", to)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer service.Close()
	go func() {
		io.Copy(service, c)
		service.(*net.TCPConn).CloseWrite()
	}()
	io.Copy(c, service)
}

// pollInterval is the interval at which a file is read again.
const pollInterval = 100 * time.Millisecond

// ship prints what is written to a file. It waits for the file.
func ship(file string) error {
	f, err := os.Open(file)
	for errors.Is(err, os.ErrNotExist) {
		time.Sleep(pollInterval)
		f, err = os.Open(file)
	}
	for err == nil {
		if _, err = io.Copy(os.Stdout, f); err == nil {
			time.Sleep(pollInterval)
		}
	}
	return err
}
