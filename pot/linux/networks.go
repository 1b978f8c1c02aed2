//go:build linux

package linux

import (
	"fmt"
	"sync"

	"github.com/vishvananda/netns"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/supervise"
)

// networks holds the network namespaces of pots that have a link and no jail yet. An
// interface that is created in its namespace need not be moved there, which takes the
// kernel longer than all the rest of a start. The descriptors of this process keep the
// namespaces: if it ends, they and their links are gone.
type networks struct {
	mu   sync.Mutex
	held map[pot.Name]netns.NsHandle
}

// newNetwork returns a new network namespace.
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

// add keeps ns for the pot's jail.
func (n *networks) add(name pot.Name, ns netns.NsHandle) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.held == nil {
		n.held = map[pot.Name]netns.NsHandle{}
	}
	n.held[name] = ns
}

// take removes the pot's namespace and returns it. The caller must close it.
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

// names returns the pots that have a namespace here.
func (n *networks) names() (all []pot.Name) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name := range n.held {
		all = append(all, name)
	}
	return all
}
