package lint

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

// checkRules are about what checks see, and when.
var checkRules = []rule{
	{"slow-detection", finding.Note, slowDetection},
	{"no-alpha", finding.Note, noAlpha},
	{"check-longer-than-period", finding.Note, checkLongerThanPeriod},
	{"sample-digest", finding.Warning, sampleDigest},
	{"digest-of-program", finding.Note, digestOfProgram},
	{"redirect-is-no-page", finding.Note, redirectIsNoPage},
	{"certificate-not-verified", finding.Note, certificateNotVerified},
	{"sni-without-name", finding.Warning, sniWithoutName},
	{"reply-length-unused", finding.Warning, replyLengthUnused},
	{"status-is-weight", finding.Warning, statusIsWeight},
}

// eachChecker calls fn for every checker.
func (c *checker) eachChecker(fn func(vs *config.VirtualServer, rs *config.RealServer, ch *config.Checker)) {
	c.eachServer(func(vs *config.VirtualServer, rs *config.RealServer) {
		for _, ch := range rs.Checkers {
			fn(vs, rs, ch)
		}
	})
}

// slowDetection: nobody chose the 60 seconds.
func slowDetection(c *checker) {
	given := map[finding.Place]bool{} // virtual servers that have a delay_loop somewhere
	c.inBlocks("virtual_server", func(block *syntax.Statement) {
		given[block.Pos().Place()] = hasKeyword(block, "delay_loop")
	})
	for _, vs := range c.cfg.VirtualServers {
		if !given[vs.Where] && vs.DelayLoop == time.Minute && checked(vs) {
			c.report(vs.Where, fmt.Sprintf("virtual_server %s: without delay_loop each server is checked once a minute: a dead one gets traffic for up to 60 s, and longer with retries", vs.Name), "delay_loop 5")
		}
	}
}

// hasKeyword reports whether a block has the keyword, at any depth.
func hasKeyword(block *syntax.Statement, kw string) bool {
	for _, st := range block.Block.Body {
		if st.Keyword() == kw || st.Block != nil && hasKeyword(st, kw) {
			return true
		}
	}
	return false
}

func checked(vs *config.VirtualServer) bool {
	return slices.ContainsFunc(vs.RealServers, func(rs *config.RealServer) bool { return len(rs.Checkers) > 0 })
}

// noAlpha: servers start as up.
func noAlpha(c *checker) {
	for _, vs := range c.cfg.VirtualServers {
		alpha := vs.Alpha
		for _, rs := range vs.RealServers {
			for _, ch := range rs.Checkers {
				alpha = alpha || ch.Alpha
			}
		}
		if !alpha && checked(vs) {
			c.report(vs.Where, fmt.Sprintf("virtual_server %s: without alpha a server that is dead at the start gets traffic until its first check fails, up to %s", vs.Name, duration(vs.Warmup)), "alpha")
		}
	}
}

// checkLongerThanPeriod: a server that hangs is found out late.
func checkLongerThanPeriod(c *checker) {
	c.eachChecker(func(vs *config.VirtualServer, _ *config.RealServer, ch *config.Checker) {
		kw, limit := "connect_timeout", ch.ConnectTimeout
		if ch.Kind == config.MiscCheck {
			kw, limit = "misc_timeout", ch.MiscTimeout
		}
		if limit <= ch.DelayLoop {
			return
		}
		at, given := c.line(ch.Where, kw)
		fix := fmt.Sprintf("%s %d", kw, max(1, min(3, int(ch.DelayLoop/time.Second))))
		what := fmt.Sprintf("%s %s", kw, duration(limit))
		if !given {
			what += ", the default,"
		}
		c.reportFor(at, fmt.Sprintf("%s is longer than delay_loop %s: a server that hangs is noticed after %s", what, duration(ch.DelayLoop), duration(hang(ch, limit))),
			c.periodEvidence(vs, ch), fix)
	})
}

// periodEvidence says where the time until a failure counts comes from.
func (c *checker) periodEvidence(vs *config.VirtualServer, ch *config.Checker) string {
	s := fmt.Sprintf("retry %d, delay_before_retry %s", ch.Retry, duration(ch.DelayBeforeRetry))
	for _, at := range []config.Where{ch.Where, vs.Where} {
		if p, ok := c.line(at, "delay_loop"); ok {
			return s + fmt.Sprintf(", delay_loop at %s", p)
		}
	}
	return s
}

// hang is how long a server that swallows packets goes unnoticed, at least.
func hang(ch *config.Checker, limit time.Duration) time.Duration {
	return limit*time.Duration(ch.Retry+1) + ch.DelayBeforeRetry*time.Duration(ch.Retry)
}

// sampleDigests are the digests of keepalived's sample files, which no page
// of anybody else has.
var sampleDigests = map[string]bool{
	"ff20ad2481f97b1754ef3e12ecd3a9cc": true,
	"9b3a0c85a887a256d6939da88aabd8cd": true,
	"640205b7b0fc66c1ea91c463fac6334c": true,
	"640205b7b0fc66c1ea91c463fac6334d": true,
}

// eachURL calls fn for every url of HTTP_GET and SSL_GET.
func (c *checker) eachURL(fn func(vs *config.VirtualServer, ch *config.Checker, u *config.URL)) {
	c.eachChecker(func(vs *config.VirtualServer, _ *config.RealServer, ch *config.Checker) {
		for i := range ch.URLs {
			fn(vs, ch, &ch.URLs[i])
		}
	})
}

// sampleDigest: the check can never pass.
func sampleDigest(c *checker) {
	c.eachURL(func(_ *config.VirtualServer, _ *config.Checker, u *config.URL) {
		if sampleDigests[u.Digest] {
			at, _ := c.line(u.Where, "digest")
			c.report(at, fmt.Sprintf("url %s: the digest is the one of keepalived's sample file, so the check can never pass and the server never gets traffic", u.Path), "status_code 200 instead of digest")
		}
	})
}

// programs are the endings of paths behind which a program makes the page.
var programs = []string{".php", ".cgi", ".pl", ".asp", ".aspx", ".jsp", ".do", ".py", ".rb"}

// digestOfProgram: what a program writes changes, and with it the digest.
func digestOfProgram(c *checker) {
	c.eachURL(func(_ *config.VirtualServer, _ *config.Checker, u *config.URL) {
		file, query, _ := strings.Cut(u.Path, "?")
		if u.Digest == "" || sampleDigests[u.Digest] || query == "" && !slices.Contains(programs, strings.ToLower(path.Ext(file))) {
			return
		}
		at, _ := c.line(u.Where, "digest")
		c.report(at, fmt.Sprintf("url %s: a program makes this page, and one changed byte of it (a date, a session, a counter) changes the digest: the server is then down until the file is changed", u.Path), "status_code 200, or regex with words that a healthy page has")
	})
}

// redirectIsNoPage: keepalived does not follow a redirect.
func redirectIsNoPage(c *checker) {
	c.eachURL(func(vs *config.VirtualServer, _ *config.Checker, u *config.URL) {
		only := len(u.Statuses) > 0 && !slices.ContainsFunc(u.Statuses, func(s config.StatusRange) bool { return s.From < 300 || s.To > 399 })
		if at, given := c.line(u.Where, "status_code"); given && only {
			c.report(at, fmt.Sprintf("url %s passes with a redirect, which is not followed: the page behind it is never asked for, and may be broken", u.Path), "the path and the check (SSL_GET for https) of the page behind it, with status_code 200")
		}
	})
}

// certificateNotVerified speaks once: it is the same for all.
func certificateNotVerified(c *checker) {
	said := false
	c.inBlocks("virtual_server/real_server/SSL_GET", func(block *syntax.Statement) {
		if !said {
			said = true
			c.report(block.Pos().Place(), "SSL_GET never looks at the server's certificate: one that has expired, or is for another name, passes, and the clients are the first to see it", "a check of its own for the certificate: MISC_CHECK with openssl s_client -verify_return_error, or the monitoring")
		}
	})
}

// sniWithoutName: the virtualhost of a real_server goes into the Host header
// only.
func sniWithoutName(c *checker) {
	c.inBlocks("virtual_server", func(vs *syntax.Statement) {
		if keyword(vs, "virtualhost") != nil {
			return
		}
		for _, rs := range vs.Block.Body {
			host := keyword(rs, "virtualhost")
			if rs.Keyword() != "real_server" || host == nil {
				continue
			}
			for _, ch := range rs.Block.Body {
				if sni := keyword(ch, "enable_sni"); ch.Keyword() == "SSL_GET" && sni != nil && !hasServerName(ch) {
					c.reportFor(sni.Pos().Place(), "enable_sni takes no name from the real_server's virtualhost, so the handshake names no host: the server shows its default certificate, or refuses",
						fmt.Sprintf("%s at %s", text(host), host.Pos().Place()), sniFix(host))
				}
			}
		}
	})
}

func sniFix(host *syntax.Statement) string {
	if args := host.Args(); len(args) > 0 {
		return "sni_name " + args[0].Text
	}
	return "sni_name NAME"
}

// hasServerName reports whether the SSL_GET itself, or each of its urls, has a name.
func hasServerName(ch *syntax.Statement) bool {
	if keyword(ch, "sni_name", "virtualhost") != nil {
		return true
	}
	for _, u := range ch.Block.Body {
		if u.Keyword() == "url" && keyword(u, "virtualhost") == nil {
			return false
		}
	}
	return keyword(ch, "url") != nil
}

// replyLengthUnused: without require_reply no reply is waited for.
func replyLengthUnused(c *checker) {
	c.inBlocks("virtual_server/real_server/UDP_CHECK", func(block *syntax.Statement) {
		if keyword(block, "require_reply") != nil {
			return
		}
		if st := keyword(block, "min_reply_length", "max_reply_length"); st != nil {
			c.report(st.Pos().Place(), st.Keyword()+" without require_reply is not looked at: silence counts as success, only an ICMP error as failure", "require_reply, with the first bytes of the answer")
		}
	})
}

// tools are programs whose exit status says what went wrong, not a weight.
var tools = []string{"curl", "wget", "ping", "ping6", "fping", "nc", "ncat", "dig", "host", "openssl", "grep", "mysqladmin", "pg_isready", "systemctl", "snmpget"}

// statusIsWeight: with misc_dynamic only 1 is a failure, and 2 to 255 are
// weights.
func statusIsWeight(c *checker) {
	c.eachChecker(func(_ *config.VirtualServer, _ *config.RealServer, ch *config.Checker) {
		if !ch.MiscDynamic || !ch.Misc.Set() {
			return
		}
		name := path.Base(ch.Misc.Argv[0])
		effect := "a failure that it reports by 2 or more leaves the server up with that number less 2 as its weight"
		switch {
		case strings.HasPrefix(name, "check_"):
			effect = "of a Nagios plugin CRITICAL (2) is weight 0 and UNKNOWN (3) weight 1, both up; only WARNING (1) is a failure"
		case name == "curl":
			effect = "its status for a refused connection, 7, is weight 5, and the server stays up"
		case !slices.Contains(tools, name):
			return
		}
		at, _ := c.line(ch.Where, "misc_dynamic")
		c.reportFor(at, fmt.Sprintf("misc_dynamic takes the exit status of %s for a weight: %s", name, effect), fmt.Sprintf("misc_path at %s", ch.Misc.Where), "no misc_dynamic: then every status but 0 is a failure")
	})
}
