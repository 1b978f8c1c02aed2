package hosttest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/supervise"
)

var errInjected = errors.New("injected")

// faulty is a host whose n-th call that creates something fails or, if giveUp is set, hangs
// until its context ends. Counting over all interfaces finds each call of a start, in
// whatever order the steps run side by side.
type faulty struct {
	pot.Cloner
	pot.Mounts
	pot.Links
	pot.Jails
	pot.Limiter
	left   atomic.Int64
	giveUp func(error)
}

// host returns a host with the parts of f in place of its own. f passes on to those.
func (f *faulty) host(of pot.Host) pot.Host {
	f.Cloner, f.Mounts, f.Links, f.Jails, f.Limiter = of.Datasets, of.Mounts, of.Links, of.Jails, of.Limits
	of.Datasets, of.Mounts, of.Links, of.Jails, of.Limits = f, f, f, f, f
	return of
}

// fail makes the call unless it is the n-th. A zfs(8) or jail(8) that hangs looks like that
// to its caller.
func (f *faulty) fail(ctx context.Context, call func() error) error {
	if f.left.Add(-1) != 0 {
		return call()
	}
	if f.giveUp == nil {
		return errInjected
	}
	f.giveUp(errInjected) // as the timeout of a start does
	<-ctx.Done()
	return context.Cause(ctx)
}

func (f *faulty) Clone(ctx context.Context, c pot.Clone) (dir string, err error) {
	err = f.fail(ctx, func() (err error) {
		dir, err = f.Cloner.Clone(ctx, c)
		return err
	})
	return dir, err
}

func (f *faulty) Dir(ctx context.Context, name string) (string, error) {
	return f.Cloner.Dir(ctx, name)
}

func (f *faulty) Destroy(ctx context.Context, name string) error {
	return f.Cloner.Destroy(ctx, name)
}

func (f *faulty) Mount(ctx context.Context, root string, m pot.Mount) error {
	return f.fail(ctx, func() error { return f.Mounts.Mount(ctx, root, m) })
}

func (f *faulty) Attach(ctx context.Context, l pot.Link) error {
	return f.fail(ctx, func() error { return f.Links.Attach(ctx, l) })
}

func (f *faulty) Create(ctx context.Context, j pot.Jail) error {
	return f.fail(ctx, func() error { return f.Jails.Create(ctx, j) })
}

// Find is counted too: a start finds the jail that it has created.
func (f *faulty) Find(ctx context.Context, name pot.Name) (j supervise.Jail, err error) {
	err = f.fail(ctx, func() (err error) {
		j, err = f.Jails.Find(ctx, name)
		return err
	})
	return j, err
}

func (f *faulty) Set(ctx context.Context, name pot.Name, l pot.Limits) error {
	return f.fail(ctx, func() error { return f.Limiter.Set(ctx, name, l) })
}

// undoing is a host whose n-th call that removes something fails or hangs.
type undoing struct{ *faulty }

// host returns a host whose removing calls are counted, and whose creating calls are not.
func (u undoing) host(of pot.Host) pot.Host {
	u.faulty.host(of)
	of.Datasets, of.Mounts, of.Links, of.Jails, of.Limits = undoingDatasets{u}, undoingMounts{u}, undoingLinks{u}, undoingJails{u}, undoingLimiter{u}
	return of
}

type undoingDatasets struct{ undoing }
type undoingMounts struct{ undoing }
type undoingLinks struct{ undoing }
type undoingJails struct{ undoing }
type undoingLimiter struct{ undoing }

func (u undoingDatasets) Clone(ctx context.Context, c pot.Clone) (string, error) {
	return u.Cloner.Clone(ctx, c)
}
func (u undoingDatasets) Destroy(ctx context.Context, name string) error {
	return u.fail(ctx, func() error { return u.Cloner.Destroy(ctx, name) })
}

func (u undoingMounts) Mount(ctx context.Context, root string, m pot.Mount) error {
	return u.Mounts.Mount(ctx, root, m)
}
func (u undoingMounts) UnmountAll(ctx context.Context, root string) error {
	return u.fail(ctx, func() error { return u.Mounts.UnmountAll(ctx, root) })
}

func (u undoingLinks) Attach(ctx context.Context, l pot.Link) error { return u.Links.Attach(ctx, l) }
func (u undoingLinks) Detach(ctx context.Context, name pot.Name) error {
	return u.fail(ctx, func() error { return u.Links.Detach(ctx, name) })
}

func (u undoingJails) Create(ctx context.Context, j pot.Jail) error { return u.Jails.Create(ctx, j) }
func (u undoingJails) Find(ctx context.Context, name pot.Name) (supervise.Jail, error) {
	return u.Jails.Find(ctx, name)
}
func (u undoingJails) Remove(ctx context.Context, name pot.Name) error {
	return u.fail(ctx, func() error { return u.Jails.Remove(ctx, name) })
}

func (u undoingLimiter) Set(ctx context.Context, name pot.Name, l pot.Limits) error {
	return u.Limiter.Set(ctx, name, l)
}
func (u undoingLimiter) Clear(ctx context.Context, name pot.Name) error {
	return u.fail(ctx, func() error { return u.Limiter.Clear(ctx, name) })
}

// createFunc creates a pot of a spec without a network.
type createFunc func(context.Context, testing.TB, *life.Pots, pot.Spec) (*life.Pot, error)

// createOwn gives the pot a network of its own.
func createOwn(ctx context.Context, _ testing.TB, ps *life.Pots, s pot.Spec) (*life.Pot, error) {
	s.Network = pot.PublicBridge
	return ps.Create(ctx, s)
}

// createShared gives the pot a shared network, which is made for it and goes with it.
func createShared(ctx context.Context, t testing.TB, ps *life.Pots, s pot.Spec) (*life.Pot, error) {
	s.Network, s.Of = pot.Joined, "net"
	return ps.CreateIn(ctx, s, pot.Spec{
		Name: "net", Image: image, Bare: true, Network: pot.PublicBridge,
		Ports: []pot.Port{{Proto: conf.TCP, Host: freePort(t), To: 8080}},
	})
}

// testUndoFaults lets each call of a Destroy fail, and then each hang: Destroy returns the
// error, and a second Destroy leaves nothing. An end that fails half way is what an agent
// meets again after its restart: each part must be removable without the others.
func testUndoFaults(t *testing.T, bed Bed) {
	testUndoFaultsOf(t, bed, createOwn, true)
	testUndoFaultsOf(t, bed, createOwn, false)
	testUndoFaultsOf(t, bed, createShared, false)
}

func testUndoFaultsOf(t *testing.T, bed Bed, create createFunc, hangs bool) {
	for n := 1; ; n++ {
		ctx, cancel := context.WithCancelCause(t.Context())
		u := undoing{new(faulty)}
		broken := bed
		broken.Host = u.host(bed.Host)
		before := bed.State(t)
		s := spec("web", "signals")
		s.Mounts = []pot.Mount{{Source: t.TempDir(), Target: "/a"}}
		p, err := create(t.Context(), t, broken.pots(), s)
		must.NoError(t, err)
		must.NoError(t, p.Start(t.Context(), nil))
		if hangs {
			u.giveUp = cancel
		}
		u.left.Store(int64(n))
		err = p.Destroy(ctx)
		over := u.left.Load() > 0
		cancel(nil)
		if !over {
			must.ErrorIs(t, err, errInjected, must.Sprintf("call %d", n))
			must.NoError(t, bed.pots().Destroy(t.Context(), "web"))
		}
		sameState(t, before, bed.State)
		if over {
			must.NoError(t, err)
			must.Greater(t, 4, n, must.Sprint("fewer calls than an end has"))
			break
		}
	}
}

// testFaults lets each call of a start fail, and then each hang: nothing is left. The undo
// must not use the context that has ended, and must not stop at its first error. The loop
// ends when a start makes fewer than n calls.
func testFaults(t *testing.T, bed Bed) {
	testFaultsOf(t, bed, createOwn, true)
	testFaultsOf(t, bed, createOwn, false)
	testFaultsOf(t, bed, createShared, false)
}

func testFaultsOf(t *testing.T, bed Bed, create createFunc, hangs bool) {
	source := t.TempDir()
	for n := 1; ; n++ {
		ctx, cancel := context.WithCancelCause(t.Context())
		f := new(faulty)
		f.left.Store(int64(n))
		if hangs {
			f.giveUp = cancel
		}
		broken := bed
		broken.Host = f.host(bed.Host)
		before := bed.State(t)

		s := spec("web", "exit", "0")
		s.Mounts = []pot.Mount{{Source: source, Target: "/a"}, {Source: source, Target: "/b", ReadOnly: true}}
		p, err := create(ctx, t, broken.pots(), s)
		if err == nil {
			err = p.Start(ctx, nil)
			must.NoError(t, p.Destroy(t.Context()))
		}
		cancel(nil)
		sameState(t, before, bed.State)
		if f.left.Load() > 0 {
			must.NoError(t, err)
			must.Greater(t, 5, n, must.Sprint("fewer calls than a start has"))
			break
		}
		must.ErrorIs(t, err, errInjected, must.Sprintf("call %d", n))
		must.NoError(t, bed.pots().Destroy(t.Context(), "web"))
	}
}
