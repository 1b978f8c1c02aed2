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

// serveControl does what lines from the control fifo say.
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
			err = errors.New("no such order")
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "%q: %v\n", lines.Text(), err)
		}
	}
}

// signal sends a signal to the command. Process.Signal knows whether that was waited for
// already, so no other process is ever hit.
func (s *supervisor) signal(arg string) error {
	n, err := strconv.Atoi(arg)
	if err != nil {
		return err
	}
	err = s.command.Signal(syscall.Signal(n))
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// unlisten closes a forward. Connections that it has made go on.
func (s *supervisor) unlisten(key string) error {
	l := s.forwards[key]
	if l == nil {
		return errors.New("no such forward")
	}
	delete(s.forwards, key)
	return l.Close()
}

// key is what an order calls a forward.
func (f Forward) key() string { return f.Proto + "/" + f.Listen.String() }
