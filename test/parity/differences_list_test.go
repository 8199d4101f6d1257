package parity

// differences are all that there are; TestParity fails over one that is not
// here, and over one here that is none.
var differences = []difference{
	{
		reason: "a keyword or value that came after 2.2.7",
		newer:  true,
		files: []string{
			"corpus interval-fraction.conf", "vrrp_script interval 1.5", "vrrp_script interval 0.001",
			"vrrp_script timeout 1.5", "vrrp_script timeout 0.001", "corpus definition-env.conf",
			"corpus unicast-no-interface.conf", "corpus unicast-no-interface-no-dev.conf",
			"vrrp_instance use_vmac name *", "vrrp_instance use_vmac vmac0 group 5", "vrrp_instance use_vmac netlink_notify_msg",
			`vrrp_instance virtual_ipaddress {\n10.0.0.99 peer 10.0.0.98/32\n}`,
			`vrrp_instance virtual_ipaddress_excluded {\n10.0.0.99 peer 10.0.0.98/32\n}`,
			`- static_ipaddress {\n10.0.0.99 peer 10.0.0.98/32\n}`,
		},
	},
	{
		reason: "`@^kaname` before a line that is wrong",
		files:  []string{"corpus id-not-kaname.conf"},
	},
	{
		reason: "`@kaname` before a line that is wrong",
		refuse: true,
		files:  []string{"corpus id-kaname.conf"},
	},
	{
		reason: "a NUL byte",
		refuse: true,
		files:  []string{"corpus nul-byte.conf"},
	},
	{
		reason: "a line of more than 1023 bytes that is cut between two words",
		refuse: true,
		files:  []string{"corpus t59-long-words.conf"},
	},
	{
		reason: "a tracked script below a directory that everybody can write to, with the sticky bit",
		refuse: true,
		files:  []string{"corpus t30-unsafe-path-track.conf"},
	},
	{
		reason: "`include_check` with several words",
		files:  []string{"global_defs include_check read match*"},
	},
	{
		reason: "a `payload` or `require_reply` of UDP_CHECK with the digit f",
		files:  []string{"virtual_server/real_server/UDP_CHECK payload 00*", "virtual_server/real_server/UDP_CHECK require_reply 00ff*"},
	},
	{
		reason: "a name for `smtp_server` that cannot be resolved",
		files:  []string{"global_defs smtp_server no.such.name.invalid"},
	},
	{
		reason: "`*_cpu_affinity` with a processor that is not there",
		files:  []string{"global_defs vrrp_cpu_affinity 999", "global_defs checker_cpu_affinity 999", "global_defs bfd_cpu_affinity 999"},
	},
	{
		reason: "a routing table by a name that this host does not know",
		files: []string{
			`vrrp_instance virtual_routes {\n192.168.9.0/24 dev eth0 table nosuch\n}`, `- static_routes {\n192.168.9.0/24 dev eth0 table nosuch\n}`,
			`vrrp_instance virtual_rules {\nfrom 10.0.0.9 table nosuch preference 100\n}`, `- static_rules {\nfrom 10.0.0.9 table nosuch preference 100\n}`,
		},
	},
}
