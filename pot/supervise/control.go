package supervise

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// serveControl carries out the requests that arrive on the control fifo until it is closed.
// Errors go to the supervisor's log: a request has no answer.
func (s *supervisor) serveControl(control io.Reader) {
	lines := bufio.NewScanner(control)
	for lines.Scan() {
		word, arg, _ := strings.Cut(lines.Text(), " ")
		var err error
		switch word {
		case signalRequest:
			err = s.signal(arg)
		case unlistenRequest:
			err = s.unlisten(arg)
		case forgetRequest:
			s.forgotten.Store(true)
		default:
			err = errors.New("unknown request")
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "%q: %v\n", lines.Text(), err)
		}
	}
}

// signal sends a signal to the command. os.Process knows whether the command was waited
// for, so no other process with the same ID is signalled.
func (s *supervisor) signal(arg string) error {
	n, err := strconv.Atoi(arg)
	if err != nil {
		return err
	}
	if s.holding != nil {
		s.holding.signal(syscall.Signal(n))
		return nil
	}
	err = s.command.Signal(syscall.Signal(n))
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// unlisten closes a forward's listener. Its open connections stay.
func (s *supervisor) unlisten(key string) error {
	l := s.forwards[key]
	if l == nil {
		return errors.New("no such forward")
	}
	delete(s.forwards, key)
	return l.Close()
}

// key names a forward in requests.
func (f Forward) key() string { return f.Proto + "/" + f.Listen.String() }
