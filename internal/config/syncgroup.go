package config

import (
	"fmt"
	"slices"

	"github.com/kaname-lb/kaname/internal/config/syntax"
)

// syncGroup builds a vrrp_sync_group.
func (b *builder) syncGroup(l *line) {
	name, ok := l.name()
	if !ok {
		return
	}
	g := &SyncGroup{
		Where: l.st.Pos().Place(), Name: name,
		SMTPAlert: b.mailAlert(), PriorityChanges: b.cfg.Global.FIFO.PriorityChanges,
	}
	var first syntax.Pos
	l.each(g, func(l *line) bool {
		if l.kw == "group" {
			b.members[g] = l.onceMembers(&g.Members, &first, b.members[g])
			return true
		}
		if l.kw == "notify_priority_changes" {
			b.saidChanges[g] = true
		}
		return b.tracking(l, &g.Tracking, name)
	})
	if o := b.syncGroups[name]; o != nil {
		l.warn("duplicate-name", fmt.Sprintf("vrrp_sync_group %s is defined again; the first one, at %s, stays and this block is ignored", name, o.Where), "give it another name")
		return
	}
	b.syncGroups[name] = g
	b.cfg.SyncGroups = append(b.cfg.SyncGroups, g)
}

// onceMembers reads a block group and returns where its names stand; of a second
// block nothing is read, and that stays at.
func (l *line) onceMembers(dst *[]string, first *syntax.Pos, at map[string]Where) map[string]Where {
	if first.IsValid() {
		l.warn("repeated-first", fmt.Sprintf("group is given again; the first one, at %s, stays", first.Place()), "one block group")
		return at
	}
	*first = l.st.Pos()
	return l.members(dst)
}

// members reads the names of a block group, any number a line, and returns where
// they stand.
func (l *line) members(dst *[]string) map[string]Where {
	at := map[string]Where{}
	l.values(func(l *line) {
		for l.left() > 0 {
			w, _ := l.word()
			*dst = append(*dst, w.Text)
			at[w.Text] = w.Place()
		}
	})
	return at
}

// finishGroups resolves the members of the sync groups, which may be defined
// anywhere.
func (b *builder) finishGroups() {
	owner := map[string]string{}
	var groups []*SyncGroup
	for _, g := range b.cfg.SyncGroups {
		g.Members = slices.DeleteFunc(g.Members, func(m string) bool { return b.notMember(g, m, owner) })
		switch len(g.Members) {
		case 0:
			b.groupFinding(g, "sync-group-empty", "the group has no members and is left out", "group { ... } with the names of its instances, or no group")
			continue
		case 1:
			b.groupFinding(g, "sync-group-of-one", "the group has one member only, so there is nothing to keep in step", "the name of the other instance, or no group")
		}
		groups = append(groups, g)
		b.groupTracking(g)
		for _, m := range g.Members {
			if in := b.byName[m]; !in.given("notify_priority_changes") && b.saidChanges[g] {
				in.PriorityChanges = g.PriorityChanges
			}
		}
	}
	b.cfg.SyncGroups = groups
}

// notMember reports why m cannot be a member of g; owner has the group of each
// member so far.
func (b *builder) notMember(g *SyncGroup, m string, owner map[string]string) bool {
	in := b.byName[m]
	what, fix := "", "remove it"
	switch {
	case in == nil:
		what = fmt.Sprintf("there is no vrrp_instance %s; it is ignored", m)
		if s := nearestName(b, b.byName, m); s != "" {
			what += "; did you mean " + s + "?"
			fix = s
		}
	case owner[m] != "":
		what = fmt.Sprintf("vrrp_instance %s is in group %s already; it is ignored here", m, owner[m])
	case in.refused:
		what = fmt.Sprintf("vrrp_instance %s does not run and is no member", m)
	}
	if what != "" {
		b.warnAt("sync-group-member", b.members[g][m], "vrrp_sync_group "+g.Name+": "+what, fix)
		return true
	}
	owner[m] = g.Name
	if in.NotRun != "" {
		b.warnAt("not-supported", b.members[g][m], fmt.Sprintf("vrrp_sync_group %s: vrrp_instance %s does not run, and the group is kept in step without it", g.Name, m), "")
	}
	return false
}

func (b *builder) groupFinding(g *SyncGroup, rule, what, fix string) {
	b.warnAt(rule, g.Where, "vrrp_sync_group "+g.Name+": "+what, fix)
}

// groupTracking takes the weights of members' trackers away: members of a
// group change state together, so one of them cannot change its priority alone.
// What the group itself tracks counts once.
func (b *builder) groupTracking(g *SyncGroup) {
	tracked := map[string]map[string]bool{} // names, by the keyword of the block
	for kw, list := range g.lists() {
		tracked[kw] = map[string]bool{}
		for _, t := range *list {
			tracked[kw][t.Name] = true
		}
	}
	for _, m := range g.Members {
		in := b.byName[m]
		if !g.TrackingWeight {
			b.clearWeights(g, in)
		}
		b.trackedTwice(g, tracked, in)
	}
}

// clearWeights zeroes the weights of interfaces and removes other trackers that
// have one. Compat: processes keep theirs.
func (b *builder) clearWeights(g *SyncGroup, in *instance) {
	fix := "put the tracking into vrrp_sync_group " + g.Name
	for i, t := range in.TrackInterfaces {
		if t.Weight != 0 {
			b.warnAt("member-weight", t.Where, fmt.Sprintf("vrrp_instance %s is in a sync group: the weight of %s is ignored, and its failure is a FAULT", in.Name, t.Name), fix)
			in.TrackInterfaces[i].Weight, in.TrackInterfaces[i].Reverse = 0, false
		}
	}
	b.dropWeighted("member-weight", in, []string{"track_script", "track_file", "track_bfd"}, func(t Track) (string, string) {
		return fmt.Sprintf("vrrp_instance %s is in a sync group: tracking %s with a weight is ignored", in.Name, t.Name), fix
	})
}

// trackedTwice removes from a member what its group tracks too: the group's
// weight counts.
func (b *builder) trackedTwice(g *SyncGroup, tracked map[string]map[string]bool, in *instance) {
	own := in.lists()
	for _, kw := range []string{"track_interface", "track_script", "track_file", "track_process", "track_bfd"} {
		*own[kw] = slices.DeleteFunc(*own[kw], func(t Track) bool {
			twice := tracked[kw][t.Name]
			if twice {
				b.trackedTwiceAt(kw, t.Where, fmt.Sprintf("vrrp_sync_group %s tracks %s too, for every member; the line in vrrp_instance %s is ignored", g.Name, t.Name, in.Name))
			}
			return twice
		})
	}
	for _, t := range g.TrackInterfaces {
		if t.Name == in.Interface && !in.DontTrackPrimary {
			b.trackedTwiceAt("track_interface", t.Where, fmt.Sprintf("vrrp_sync_group %s: %s is vrrp_instance %s's own interface, which is always tracked", g.Name, t.Name, in.Name))
		}
	}
}

// trackedTwiceAt reports what an instance and its group track; keepalived speaks
// of interfaces only.
func (b *builder) trackedTwiceAt(kw string, at Where, what string) {
	b.warnAt("tracked-twice", at, what, "remove one of the two")
	if kw != "track_interface" {
		b.exits(exitNone)
	}
}
