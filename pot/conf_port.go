package pot

import (
	"fmt"
	"strconv"
	"strings"
)

// Proto is a transport.
type Proto string

// Transports that can be published.
const (
	TCP Proto = "tcp"
	UDP Proto = "udp"
)

// An Export is a port that a pot publishes.
type Export struct {
	Proto Proto
	Port  uint16 // in the pot
	Host  uint16 // of the host; 0: one that is free
}

// ParseExport reads [tcp:|udp:]PORT[:HOST_PORT].
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
			return 0, fmt.Errorf("must be [tcp:|udp:]PORT[:HOST_PORT], of 1 to 65535, not %.80q", text)
		}
		return uint16(n), nil
	}
	var err error
	if e.Port, err = number(port); err == nil && static {
		e.Host, err = number(host)
	}
	return e, err
}
