package parity

// differences are all that there are; TestParity fails over one that is not
// here, and over one here that is none.
var differences = []difference{
	{
		reason: "a keyword or value that came after 2.2.7",
		newer:  true,
		files:  []string{"corpus interval-fraction.conf", "corpus definition-env.conf"},
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
		reason: "`vrrp_strict` or `vrrp_skip_check_adv_addr` with a word that is neither true nor false",
		refuse: true,
		files:  []string{"global_defs vrrp_skip_check_adv_addr maybe", "global_defs vrrp_strict maybe"},
	},
	{
		reason: "`default_interface` with a name that no interface can have",
		refuse: true,
		files:  []string{"global_defs default_interface averylonginterfacename"},
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
}
