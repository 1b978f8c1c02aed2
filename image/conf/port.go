package conf

import (
	"fmt"
	"strconv"
	"strings"
)

// Proto is a transport protocol.
type Proto string

// Protocols whose ports can be published.
const (
	TCP Proto = "tcp"
	UDP Proto = "udp"
)

// An Export is a port that a pot publishes.
type Export struct {
	Proto Proto
	Port  uint16 // in the pot
	Host  uint16 // on the host; 0 asks for a free one
}

// ParseExport parses a port in the form of pot export-ports: [tcp:|udp:]PORT[:HOST_PORT]. The
// default protocol is tcp.
func ParseExport(text string) (Export, error) {
	e := Export{Proto: TCP}
	rest := text
	for _, proto := range []Proto{TCP, UDP} {
		if after, ok := strings.CutPrefix(text, string(proto)+":"); ok {
			e.Proto, rest = proto, after
		}
	}
	port, host, static := strings.Cut(rest, ":")
	number := func(s string) (uint16, error) {
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil || n == 0 {
			return 0, fmt.Errorf("must be [tcp:|udp:]PORT[:HOST_PORT], each from 1 to 65535, not %.80q", text)
		}
		return uint16(n), nil
	}
	var err error
	if e.Port, err = number(port); err == nil && static {
		e.Host, err = number(host)
	}
	return e, err
}
