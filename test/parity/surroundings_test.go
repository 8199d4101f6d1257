package parity

import "strings"

// surroundings are the least that each block needs around a keyword so that
// keepalived accepts the file; USE is where the keyword goes.
var surroundings = map[string]string{
	"-": commands + trackable + instances + `
virtual_server_group VG {
	10.0.0.90 80
}
` + service("") + "USE\n",
	"global_defs": `global_defs {
	enable_script_security
	script_user root
	USE
}
` + instances,
	"track_group": commands + instances + `
track_group G {
	USE
}`,
	"vrrp_sync_group": commands + trackable + instances + `
vrrp_sync_group G {
	group {
		VI
		VI2
	}
	USE
}`,
	"vrrp_sync_group group": commands + instances + `
vrrp_sync_group G {
	USE
}`,
	"garp_group": `garp_group {
	interface eth0
	garp_interval 1
	USE
}
` + instances,
	"vrrp_instance": commands + trackable + instance("USE"),
	"vrrp_instance virtual_ipaddress": `vrrp_instance VI {
	interface eth0
	virtual_router_id 51
	USE
}`,
	"vrrp_instance/authentication": instance(`authentication {
		auth_type PASS
		auth_pass secret
		USE
	}`),
	"vrrp_instance/auth_hmac": instance("auth_hmac {\n\t\tUSE\n\t}"),
	"vrrp_script": commands + `
vrrp_script S {
	script /bin/true
	USE
}` + instances,
	"vrrp_script script": commands + `
vrrp_script S {
	USE
}` + instances,
	"vrrp_track_process": `vrrp_track_process P {
	process nginx
	USE
}` + instances,
	"vrrp_track_process process": `vrrp_track_process P {
	USE
}` + instances,
	"track_file": `track_file F {
	file /tmp/kaname-parity-number
	USE
}` + instances,
	"track_file file": `track_file F {
	USE
}` + instances,
	"vrrp_track_file": `vrrp_track_file F {
	file /tmp/kaname-parity-number
	USE
}` + instances,
	"vrrp_track_file file": `vrrp_track_file F {
	USE
}` + instances,
	"bfd_instance": `bfd_instance B {
	neighbor_ip 10.0.0.2
	USE
}` + instances,
	"bfd_instance neighbor_ip": `bfd_instance B {
	USE
}` + instances,
	"bfd_instance neighbour_ip": `bfd_instance B {
	USE
}` + instances,
	"SSL":            "SSL {\n\tUSE\n}" + service(""),
	"virtual_server": commands + service("USE"),
	"virtual_server/real_server": commands + `
virtual_server 10.0.0.100 80 {
	lb_algo rr
	lb_kind NAT
	protocol TCP
	real_server 10.0.0.11 80 {
		USE
	}
}`,
	"virtual_server/real_server FILE_CHECK":            commands + trackable + checked("USE"),
	"virtual_server/real_server BFD_CHECK":             commands + trackable + checked("USE"),
	"virtual_server/real_server/MISC_CHECK":            commands + checked("MISC_CHECK {\nmisc_path /bin/true\nUSE\n}"),
	"virtual_server/real_server/MISC_CHECK misc_path":  commands + checked("MISC_CHECK {\nUSE\n}"),
	"virtual_server/real_server/SMTP_CHECK":            checked("SMTP_CHECK {\nUSE\n}"),
	"virtual_server/real_server/SMTP_CHECK/host":       checked("SMTP_CHECK {\nhost {\nUSE\n}\n}"),
	"virtual_server/real_server/TCP_CHECK":             checked("TCP_CHECK {\nUSE\n}"),
	"virtual_server/real_server/PING_CHECK":            checked("PING_CHECK {\nUSE\n}"),
	"virtual_server/real_server/UDP_CHECK":             checked("UDP_CHECK {\nUSE\n}"),
	"virtual_server/real_server/HTTP_GET":              checked("HTTP_GET {\nurl {\npath /\n}\nUSE\n}"),
	"virtual_server/real_server/HTTP_GET url":          checked("HTTP_GET {\nUSE\n}"),
	"virtual_server/real_server/HTTP_GET/url":          checked("HTTP_GET {\nurl {\npath /\nUSE\n}\n}"),
	"virtual_server/real_server/HTTP_GET/url path":     checked("HTTP_GET {\nurl {\nUSE\n}\n}"),
	"virtual_server/real_server/SSL_GET":               checked("SSL_GET {\nurl {\npath /\n}\nUSE\n}"),
	"virtual_server/real_server/SSL_GET url":           checked("SSL_GET {\nUSE\n}"),
	"virtual_server/real_server/SSL_GET/url":           checked("SSL_GET {\nurl {\npath /\nUSE\n}\n}"),
	"virtual_server/real_server/SSL_GET/url path":      checked("SSL_GET {\nurl {\nUSE\n}\n}"),
	"virtual_server/real_server/DNS_CHECK":             checked("DNS_CHECK {\nUSE\n}"),
	"virtual_server/real_server/FILE_CHECK":            trackable + checked("FILE_CHECK {\ntrack_file F\nUSE\n}"),
	"virtual_server/real_server/FILE_CHECK track_file": trackable + checked("FILE_CHECK {\nUSE\n}"),
	"virtual_server/real_server/BFD_CHECK":             trackable + checked("BFD_CHECK {\nname B\nUSE\n}"),
	"virtual_server/real_server/BFD_CHECK name":        trackable + checked("BFD_CHECK {\nUSE\n}"),
}

const commands = `global_defs {
	enable_script_security
	script_user root
}
`

const trackable = `vrrp_script S {
	script /bin/true
}
track_file F {
	file /tmp/kaname-parity-number
}
vrrp_track_process P {
	process nginx
}
bfd_instance B {
	neighbor_ip 10.0.0.2
}
`

var instances = instance("") + `
vrrp_instance VI2 {
	interface eth1
	virtual_router_id 52
	virtual_ipaddress {
		10.1.0.100/24
	}
}
`

func instance(use string) string {
	return `
vrrp_instance VI {
	interface eth0
	virtual_router_id 51
	priority 100
	virtual_ipaddress {
		10.0.0.100/24
	}
	` + use + `
}`
}

func service(use string) string {
	return `
virtual_server 10.0.0.100 80 {
	lb_algo rr
	lb_kind NAT
	protocol TCP
	` + use + `
	real_server 10.0.0.11 80 {
		TCP_CHECK {
			connect_timeout 3
		}
	}
}
`
}

func checked(check string) string {
	return `
virtual_server 10.0.0.100 80 {
	lb_algo rr
	lb_kind NAT
	protocol TCP
	real_server 10.0.0.11 80 {
		` + check + `
	}
}
`
}

// file returns the file that holds a use of a keyword in its block, a use of
// "-" being the keyword alone.
func (u use) file() string {
	around, ok := surroundings[u.block+" "+u.keyword]
	if !ok {
		around = surroundings[u.block]
	}
	args := strings.ReplaceAll(u.args, `\n`, "\n")
	if args == "-" {
		args = ""
	}
	return strings.Replace(around, "USE", u.keyword+" "+args, 1)
}
