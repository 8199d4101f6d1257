package config

// unheard are the keywords of which keepalived 2.2.7 -t does not tell a wrong
// use, by their path; the value is the rule of that use, empty for any. Newer
// ones may tell it.
var unheard = map[string]string{
	"global_defs/default_interface":          "invalid-value",
	"global_defs/smtp_helo_name":             "missing-value",
	"global_defs/vrrp_skip_check_adv_addr":   "invalid-value",
	"global_defs/vrrp_strict":                "invalid-value",
	"virtual_server/persistence_granularity": "mask-with-holes",
}

func init() {
	for _, get := range []string{"HTTP_GET", "SSL_GET"} {
		url := "virtual_server/real_server/" + get + "/url/"
		unheard[url+"status_code"] = "missing-value"
		for _, kw := range []string{"regex", "regex_options", "regex_min_offset", "regex_max_offset", "regex_stack"} {
			unheard[url+kw] = ""
		}
	}
}

// unheard sets the status of the line's findings, those from the nth on, where
// keepalived -t would say nothing.
func (l *line) unheard(n int) {
	use, ok := unheard[l.key.Path()]
	if !ok {
		return
	}
	for i := range l.b.findings[min(n, len(l.b.findings)):] {
		if f := &l.b.findings[n+i]; use == "" || f.Rule == use {
			f.Exit = exitNone
		}
	}
}
