package statedump

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/kaname-lb/kaname/internal/config"
)

// instanceJSON is one element of keepalived.json. The order of the fields is
// keepalived's; so is which of the switches are numbers.
type instanceJSON struct {
	Data  dataJSON  `json:"data"`
	Stats statsJSON `json:"stats"`
}

type dataJSON struct {
	Name                string   `json:"iname"`
	DontTrackPrimary    int      `json:"dont_track_primary"`
	SkipCheckAdvAddr    int      `json:"skip_check_adv_addr"`
	Strict              int      `json:"strict_mode"`
	VMAC                string   `json:"vmac_ifname"`
	Interface           string   `json:"ifp_ifname"`
	MasterPriority      int      `json:"master_priority"`
	LastTransition      number   `json:"last_transition"`
	GARPDelay           int64    `json:"garp_delay"`
	GARPRefresh         int64    `json:"garp_refresh"`
	GARPRepeat          int      `json:"garp_rep"`
	GARPRefreshRepeat   int      `json:"garp_refresh_rep"`
	GARPLowerDelay      int64    `json:"garp_lower_prio_delay"`
	GARPLowerRepeat     int      `json:"garp_lower_prio_rep"`
	LowerPrioNoAdvert   int      `json:"lower_prio_no_advert"`
	HigherPrioAdvert    int      `json:"higher_prio_send_advert"`
	VRID                int      `json:"vrid"`
	Priority            int      `json:"base_priority"`
	EffectivePriority   int      `json:"effective_priority"`
	AddressesSet        bool     `json:"vipset"`
	PromoteSecondaries  bool     `json:"promote_secondaries"`
	AdvertInterval      number   `json:"adver_int"`
	MasterInterval      number   `json:"master_adver_int"`
	Accept              int      `json:"accept"`
	NoPreempt           bool     `json:"nopreempt"`
	PreemptDelay        int64    `json:"preempt_delay"`
	State               int      `json:"state"`
	WantState           int      `json:"wantstate"`
	Version             int      `json:"version"`
	SMTPAlert           bool     `json:"smtp_alert"`
	NotifyDeleted       bool     `json:"notify_deleted"`
	ScriptBackup        string   `json:"script_backup,omitempty"`
	ScriptMaster        string   `json:"script_master,omitempty"`
	ScriptFault         string   `json:"script_fault,omitempty"`
	ScriptStop          string   `json:"script_stop,omitempty"`
	ScriptDeleted       string   `json:"script_deleted,omitempty"`
	Script              string   `json:"script,omitempty"`
	ScriptMasterRxLower string   `json:"script_master_rx_lower_pri,omitempty"`
	Addresses           []string `json:"vips,omitempty"`
	Excluded            []string `json:"evips,omitempty"`
	Routes              []string `json:"vroutes,omitempty"`
	TrackInterfaces     []string `json:"track_ifp,omitempty"`
	TrackScripts        []string `json:"track_script,omitempty"`
	AuthType            int      `json:"auth_type"`
	AuthData            string   `json:"auth_data,omitempty"`
}

type statsJSON struct {
	Received       uint64 `json:"advert_rcvd"`
	Sent           uint64 `json:"advert_sent"`
	BecameMaster   uint64 `json:"become_master"`
	ReleasedMaster uint64 `json:"release_master"`
	Length         uint64 `json:"packet_len_err"`
	Interval       uint64 `json:"advert_interval_err"`
	TTL            uint64 `json:"ip_ttl_err"`
	Type           uint64 `json:"invalid_type_rcvd"`
	Addresses      uint64 `json:"addr_list_err"`
	AuthInvalid    uint64 `json:"invalid_authtype"`
	AuthType       uint64 `json:"authtype_mismatch"`
	AuthBad        uint64 `json:"auth_failure"`
	ZeroReceived   uint64 `json:"pri_zero_rcvd"`
	ZeroSent       uint64 `json:"pri_zero_sent"`
}

// number is a JSON number as it is written.
type number string

func (n number) MarshalJSON() ([]byte, error) { return []byte(n), nil }

// WriteJSON prints keepalived.json: one line, slashes escaped, as keepalived's
// library does it. With json_version 2 the list is the value of "vrrp".
func WriteJSON(w io.Writer, s *State) error {
	all := make([]instanceJSON, 0, len(s.Config.Instances))
	for _, in := range s.Config.Instances {
		all = append(all, s.instanceJSON(in))
	}
	var top any = all
	if s.Config.Global.JSONVersion == 2 {
		top = struct {
			VRRP    []instanceJSON `json:"vrrp"`
			Process []struct{}     `json:"track_process"`
		}{all, []struct{}{}}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(top); err != nil {
		return err
	}
	// A slash stands in strings only.
	_, err := io.WriteString(w, strings.ReplaceAll(b.String(), "/", `\/`))
	return err
}

func (s *State) instanceJSON(in *config.Instance) instanceJSON {
	now := s.Instances[in.Name]
	d := dataJSON{
		Name: in.Name, Interface: in.Interface, VRID: in.VRID, Version: in.Version,
		DontTrackPrimary: bit(in.DontTrackPrimary), SkipCheckAdvAddr: bit(in.SkipCheckAdvAddr), Strict: bit(in.Strict),
		MasterPriority: now.MasterPriority, LastTransition: unixMicro(now.Since),
		GARPDelay: seconds(in.GARPDelay), GARPRefresh: seconds(in.GARPRefresh), GARPRepeat: in.GARPRepeat,
		GARPRefreshRepeat: in.GARPRefreshRep, GARPLowerDelay: seconds(in.GARPLowerDelay), GARPLowerRepeat: in.GARPLowerRepeat,
		LowerPrioNoAdvert: bit(in.LowerPrioNoAdvert), HigherPrioAdvert: bit(in.HigherPrioSendAdvert),
		Priority: in.Priority, EffectivePriority: now.EffectivePriority, AddressesSet: now.AddressesSet,
		PromoteSecondaries: in.PromoteSecondaries, Accept: bit(!in.NoAccept), NoPreempt: in.NoPreempt,
		AdvertInterval: interval(in), MasterInterval: interval(in), PreemptDelay: seconds(in.PreemptDelay),
		State: stateNumber(now.State), WantState: stateNumber(now.State), SMTPAlert: in.SMTPAlert,
		NotifyDeleted: in.Notify.Deleted, AuthType: authNumber(in.Auth),
	}
	if in.VMAC != nil {
		d.VMAC = in.VMAC.Name
	}
	if in.Auth != config.AuthNone {
		d.AuthData = s.secret(string(in.AuthPass))
	}
	s.scriptsJSON(&d, in)
	for _, a := range in.Addresses {
		d.Addresses = append(d.Addresses, address(a, in.Interface, now.AddressesSet))
	}
	for _, a := range in.Excluded {
		d.Excluded = append(d.Excluded, address(a, in.Interface, now.AddressesSet))
	}
	for _, r := range in.Routes {
		d.Routes = append(d.Routes, route(r))
	}
	return instanceJSON{d, counters(now.Counters)}
}

func (s *State) scriptsJSON(d *dataJSON, in *config.Instance) {
	n := in.Notify
	d.ScriptBackup, d.ScriptMaster, d.ScriptFault = command(n.Backup), command(n.Master), command(n.Fault)
	d.ScriptStop, d.ScriptDeleted = command(n.Stop), command(n.DeletedCommand)
	d.Script, d.ScriptMasterRxLower = command(n.Generic), command(n.MasterRxLowerPri)
	for _, t := range in.TrackInterfaces {
		d.TrackInterfaces = append(d.TrackInterfaces, t.Name)
	}
	for _, t := range in.TrackScripts {
		if sc := s.script(t.Name); sc != nil {
			d.TrackScripts = append(d.TrackScripts, command(sc.Command))
		}
	}
}

func counters(c Counters) statsJSON {
	return statsJSON{
		Received: c.Received, Sent: c.Sent, BecameMaster: c.BecameMaster, ReleasedMaster: c.ReleasedMaster,
		Length: c.Length, Interval: c.Interval, TTL: c.TTL, Type: c.Type, Addresses: c.Addresses,
		AuthInvalid: c.AuthInvalid, AuthType: c.AuthType, AuthBad: c.AuthBad,
		ZeroReceived: c.ZeroReceived, ZeroSent: c.ZeroSent,
	}
}

func (s *State) script(name string) *config.Script {
	for _, sc := range s.Config.Scripts {
		if sc.Name == name {
			return sc
		}
	}
	return nil
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

func unixMicro(t time.Time) number {
	if t.IsZero() {
		return "0.000000"
	}
	us := t.UnixMicro()
	return number(strconv.FormatInt(us/1e6, 10) + "." + strconv.FormatInt(1e6+us%1e6, 10)[1:])
}

// interval is whole seconds in version 2, else with a decimal point.
func interval(in *config.Instance) number {
	if in.Version != 3 {
		return number(strconv.FormatInt(seconds(in.AdvertInterval), 10))
	}
	s := strconv.FormatFloat(in.AdvertInterval.Seconds(), 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return number(s)
}

// states are keepalived's numbers of them.
var states = map[string]int{"INIT": 0, "BACKUP": 1, "MASTER": 2, "FAULT": 3, "STOP": 98}

func stateNumber(s string) int { return states[s] }

// authNumber is the number on the wire.
func authNumber(a config.AuthType) int {
	return map[config.AuthType]int{config.AuthNone: 0, config.AuthPass: 1, config.AuthAH: 2}[a]
}
