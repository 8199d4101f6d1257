package reconcile

import (
	"errors"
	"fmt"
	"slices"

	"github.com/kaname-lb/kaname/internal/director/desired"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// Dataplane carries the traffic. Its methods replace the whole of what they
// name; they may be repeated, go on after an error, and return what failed.
type Dataplane interface {
	Set(services []lvs.ServiceSet) error
	SetTimeouts(t lvs.Timeouts) error
	SetInterfaces(names []string) error
}

// Network holds the addresses of this host.
type Network interface {
	// Addresses returns those that we put there, in this process's life or an
	// earlier one, in any order. Label and scope are as Add was given them.
	Addresses() ([]desired.Address, error)
	Add(a desired.Address) error
	Remove(a desired.Address) error
}

// Failure is an operation that was not done.
type Failure struct {
	Op  Op
	Err error
}

// Report says what came of one Set. Read is the error with which the host's
// addresses could not be read; then none was touched.
type Report struct {
	Read   error
	Done   []Op
	Failed []Failure
}

// Retry reports whether the State is not reached: Set must be called again.
func (r Report) Retry() bool { return r.Read != nil || len(r.Failed) > 0 }

// Err joins everything that failed, nil when nothing did.
func (r Report) Err() error {
	errs := []error{r.Read}
	for _, f := range r.Failed {
		errs = append(errs, fmt.Errorf("%s: %w", f.Op, f.Err))
	}
	return errors.Join(errs...)
}

// Reconciler makes States so on one host. It is not safe for concurrent use:
// the director's loop owns it.
type Reconciler struct {
	net Network
	dp  Dataplane
	// What the dataplane was last told with success; nil before that and
	// after a failure, which leaves it in an unknown state.
	services   *[]lvs.ServiceSet
	timeouts   *lvs.Timeouts
	interfaces *[]string
}

// New returns a Reconciler of n and dp that knows nothing of either yet.
func New(n Network, dp Dataplane) *Reconciler { return &Reconciler{net: n, dp: dp} }

// Set makes want so, as far as it can, and reports. The addresses are read
// from the host each time, so one that somebody else removed is put back.
func (r *Reconciler) Set(want desired.State) Report {
	actual, err := r.Actual()
	rep := r.Apply(Diff(actual, want))
	if err != nil {
		rep.Read = fmt.Errorf("read the addresses of this host: %w", err)
	}
	return rep
}

// Actual returns what the host has. With an error the addresses are unknown.
func (r *Reconciler) Actual() (Actual, error) {
	addrs, err := r.net.Addresses()
	return Actual{
		Addresses:        addrs,
		AddressesUnknown: err != nil,
		Services:         r.services,
		Timeouts:         r.timeouts,
		Interfaces:       r.interfaces,
	}, err
}

// Apply carries ops out in their order, going on after an error, and records
// what did apply.
func (r *Reconciler) Apply(ops []Op) Report {
	var rep Report
	for _, op := range ops {
		if err := r.do(op); err != nil {
			rep.Failed = append(rep.Failed, Failure{Op: op, Err: err})
			continue
		}
		rep.Done = append(rep.Done, op)
	}
	return rep
}

// Forget makes the next Set tell the dataplane everything again, for a
// dataplane that was opened anew.
func (r *Reconciler) Forget() { r.services, r.timeouts, r.interfaces = nil, nil, nil }

func (r *Reconciler) do(op Op) error {
	switch op := op.(type) {
	case AddAddress:
		return r.net.Add(op.Address)
	case RemoveAddress:
		return r.net.Remove(op.Address)
	case SetTimeouts:
		r.timeouts = nil
		if err := r.dp.SetTimeouts(op.Timeouts); err != nil {
			return err
		}
		r.timeouts = &op.Timeouts
	case SetServices:
		r.services = nil
		if err := r.dp.Set(op.Services); err != nil {
			return err
		}
		r.services = new(clone(op.Services))
	case SetInterfaces:
		r.interfaces = nil
		if err := r.dp.SetInterfaces(op.Names); err != nil {
			return err
		}
		r.interfaces = new(slices.Clone(op.Names))
	}
	return nil
}

// clone keeps what was told apart from what a caller may change later.
//
//go:fix inline
func clone(services []lvs.ServiceSet) []lvs.ServiceSet {
	all := slices.Clone(services)
	for i := range all {
		all[i].Destinations = slices.Clone(all[i].Destinations)
	}
	return all
}
