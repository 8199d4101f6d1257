package statedump

import (
	"net/netip"
	"strings"
	"time"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/snapshot"
)

// State is everything that is printed.
type State struct {
	Config     *config.Config
	Instances  map[string]Instance // by name
	Groups     map[string]string   // state by name
	Scripts    map[string]Script   // by name
	Interfaces []Interface
	Services   []snapshot.VirtualServer
	Namespace  string // "" is the default one
	Umask      int
	// IDs finds the numbers of a user and group; empty is this process's.
	IDs func(config.User) (uid, gid uint32)
	// ShowSecrets prints passwords instead of asterisks.
	ShowSecrets bool
}

// Instance is what one vrrp_instance is now. State is keepalived's word.
type Instance struct {
	State             string
	Since             time.Time
	Source            netip.Addr
	EffectivePriority int
	MasterPriority    int  // of the last accepted advert; 0 while MASTER
	AddressesSet      bool // its virtual addresses are on
	Counters          Counters
}

// Counters are those of keepalived.stats.
type Counters struct {
	Received, Sent                 uint64
	BecameMaster, ReleasedMaster   uint64
	Length, TTL, Type              uint64 // packet errors
	Interval, Addresses            uint64
	AuthInvalid, AuthType, AuthBad uint64
	ZeroReceived, ZeroSent         uint64
}

// Minus returns the counts since base.
func (c Counters) Minus(base Counters) Counters {
	return Counters{
		Received: c.Received - base.Received, Sent: c.Sent - base.Sent,
		BecameMaster: c.BecameMaster - base.BecameMaster, ReleasedMaster: c.ReleasedMaster - base.ReleasedMaster,
		Length: c.Length - base.Length, TTL: c.TTL - base.TTL, Type: c.Type - base.Type,
		Interval: c.Interval - base.Interval, Addresses: c.Addresses - base.Addresses,
		AuthInvalid: c.AuthInvalid - base.AuthInvalid, AuthType: c.AuthType - base.AuthType, AuthBad: c.AuthBad - base.AuthBad,
		ZeroReceived: c.ZeroReceived - base.ZeroReceived, ZeroSent: c.ZeroSent - base.ZeroSent,
	}
}

// Script is what one vrrp_script found last.
type Script struct {
	Known, Up bool
}

// Interface is one link of the host.
type Interface struct {
	Name    string
	Index   int
	Addr    netip.Addr // primary IPv4 address; invalid for none
	MAC     string     // "" for a loopback
	Up      bool
	MTU     int
	Tracked []string // instances
}

// hidden stands for a password.
const hidden = "********"

func (s *State) secret(v string) string {
	if s.ShowSecrets {
		return v
	}
	return hidden
}

// command is "'/path' 'argument'".
func command(c config.Command) string {
	quoted := make([]string, len(c.Argv))
	for i, a := range c.Argv {
		quoted[i] = "'" + a + "'"
	}
	return strings.Join(quoted, " ")
}
