//go:build linux

package linux

import (
	"fmt"
	"sync"

	"github.com/vishvananda/netns"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/supervise"
)

// networks are the network namespaces of pots that have a link and no jail yet. An
// interface that is made in one need not be moved there, which takes the kernel
// longer than all else of a start. This process alone holds them: if it ends they
// are gone, and their links too.
type networks struct {
	mu   sync.Mutex
	held map[pot.Name]netns.NsHandle
}

// newNetwork is a network namespace with nothing in it.
func newNetwork() (ns netns.NsHandle, err error) {
	done := make(chan struct{})
	go supervise.OnOwnThread(func() {
		defer close(done)
		ns, err = netns.New()
	})
	<-done
	if err != nil {
		return ns, fmt.Errorf("make network of the jail: %w", err)
	}
	return ns, nil
}

// hold keeps ns for the pot's jail.
func (n *networks) hold(name pot.Name, ns netns.NsHandle) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.held == nil {
		n.held = map[pot.Name]netns.NsHandle{}
	}
	n.held[name] = ns
}

// take gives away what is held for the pot: the caller closes it.
func (n *networks) take(name pot.Name) (ns netns.NsHandle, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	ns, ok = n.held[name]
	delete(n.held, name)
	if !ok {
		return netns.None(), false
	}
	return ns, true
}

// names are the pots that something is held for.
func (n *networks) names() (all []pot.Name) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name := range n.held {
		all = append(all, name)
	}
	return all
}
