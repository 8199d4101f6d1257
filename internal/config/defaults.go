package config

import (
	"time"
)

const (
	defaultVMACPrefix = "vrrp"
	defaultGARPDelay  = 5 * time.Second
	defaultGARPRepeat = 5
)

// defaultConfig is what holds before a file has said anything.
func defaultConfig(files []string) *Config {
	c := &Config{Files: files, Kaname: defaultKaname()}
	c.Process.ChildWaitTime = 5 * time.Second
	g := &c.Global
	g.StartupScriptTimeout, g.ShutdownScriptTimeout = 10*time.Second, 10*time.Second
	g.DefaultInterface, g.VMACPrefix, g.Umask, g.JSONVersion = "eth0", defaultVMACPrefix, 0o177, 1
	g.VRRP = GlobalVRRP{
		Version: 2, GARPDelay: defaultGARPDelay, GARPRepeat: defaultGARPRepeat, GARPRefreshRep: 1,
		GARPLowerDelay: -1, GARPLowerRepeat: -1, DownTimerAdverts: 3, RxBufsMultiplier: 3,
	}
	g.Mail.ConnectTimeout = 30 * time.Second
	g.Nft = Nftables{Priority: -1, IPVSPrio: -1, IPVSFWMark: 1000}
	g.Process = ProcessTuning{MinAutoDelay: time.Second, VRRPRTTime: 10 * time.Millisecond, CheckerRTTime: 10 * time.Millisecond, BFDRTTime: 10 * time.Millisecond}
	g.SNMP.VSInterval = 5 * time.Second
	return c
}
