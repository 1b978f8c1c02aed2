package supervise

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Bounds on what clients can make a supervisor hold.
const (
	maxConnections = 4096             // at once, for one TCP port
	maxSessions    = 1024             // clients at once, for one UDP port
	dialTimeout    = 10 * time.Second // to the pot's side
	sessionIdle    = 60 * time.Second // a UDP client that is silent longer is forgotten
	maxDatagram    = 64 << 10
)

// forward listens where f says and relays what arrives, until the returned listener is
// closed. Open TCP connections stay after that.
func forward(f Forward) (io.Closer, error) {
	switch f.Proto {
	case "tcp":
		l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(f.Listen))
		if err != nil {
			return nil, fmt.Errorf("publish port: %w", err)
		}
		go forwardTCP(l, f.To)
		return l, nil
	case "udp":
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(f.Listen))
		if err != nil {
			return nil, fmt.Errorf("publish port: %w", err)
		}
		u := &udpForward{listen: c, to: f.To, sessions: map[netip.AddrPort]*net.UDPConn{}}
		go u.serve()
		return c, nil
	}
	return nil, fmt.Errorf("publish port: no such protocol: %q", f.Proto)
}

// forwardTCP relays connections until l is closed.
func forwardTCP(l *net.TCPListener, to netip.AddrPort) {
	slots := make(chan struct{}, maxConnections)
	for {
		client, err := l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors, for example: that passes
			time.Sleep(100 * time.Millisecond)
			continue
		}
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			relay(client, to)
		}()
	}
}

// relay connects client with the pot until both sides have closed. It passes on the end of
// each direction, so that half-closed connections work.
func relay(client *net.TCPConn, to netip.AddrPort) {
	defer client.Close()
	d := net.Dialer{Timeout: dialTimeout}
	c, err := d.Dial("tcp", to.String())
	if err != nil {
		client.SetLinger(0) // the client sees a reset, as from a closed port
		return
	}
	pot := c.(*net.TCPConn)
	defer pot.Close()
	var wg sync.WaitGroup
	for _, way := range []struct{ to, from *net.TCPConn }{{pot, client}, {client, pot}} {
		wg.Go(func() {
			io.Copy(way.to, way.from)
			way.to.CloseWrite()
		})
	}
	wg.Wait()
}

// udpForward relays datagrams. It has a socket for each client, so that answers find the
// client.
type udpForward struct {
	listen   *net.UDPConn
	to       netip.AddrPort
	mu       sync.Mutex
	sessions map[netip.AddrPort]*net.UDPConn
}

// serve relays datagrams until the listener is closed.
func (u *udpForward) serve() {
	defer u.closeAll()
	buf := make([]byte, maxDatagram)
	for {
		n, client, err := u.listen.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		if session := u.session(client); session != nil {
			session.SetReadDeadline(time.Now().Add(sessionIdle))
			session.Write(buf[:n]) // an error loses a datagram, which UDP allows
		}
	}
}

// session returns the client's socket towards the pot, or nil if there are maxSessions
// already.
func (u *udpForward) session(client netip.AddrPort) *net.UDPConn {
	u.mu.Lock()
	defer u.mu.Unlock()
	if s := u.sessions[client]; s != nil {
		return s
	}
	if len(u.sessions) >= maxSessions {
		return nil
	}
	s, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(u.to))
	if err != nil {
		return nil
	}
	u.sessions[client] = s
	go u.answer(client, s)
	return s
}

// answer relays the pot's datagrams back to the client until the session is idle.
func (u *udpForward) answer(client netip.AddrPort, s *net.UDPConn) {
	defer func() {
		u.mu.Lock()
		delete(u.sessions, client)
		u.mu.Unlock()
		s.Close()
	}()
	buf := make([]byte, maxDatagram)
	for {
		n, err := s.Read(buf)
		var ne net.Error
		switch {
		case err == nil:
			u.listen.WriteToUDPAddrPort(buf[:n], client)
			s.SetReadDeadline(time.Now().Add(sessionIdle))
		case errors.As(err, &ne) && ne.Timeout(), errors.Is(err, net.ErrClosed):
			return
		default: // ECONNREFUSED: the pot may listen later
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func (u *udpForward) closeAll() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, s := range u.sessions {
		s.Close()
	}
}
