package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

var secretRules = []rule{
	{"guessable-auth-pass", finding.Note, guessableAuthPass},
	{"auth-pass-in-clear", finding.Note, authPassInClear},
}

// guessed are what sample files and hurried people write.
var guessed = []string{
	"secret", "password", "passw0rd", "passwd", "passwor", "pass", "test", "testing", "admin", "root", "public", "private",
	"vrrp", "vrrppass", "keepaliv", "keepalived", "keepalive", "k@l!ve1", "changeme", "default", "qwerty", "abc123", "foobar", "somepass", "hapass", "mypass",
}

// guessable reports whether somebody would try s among the first: words of
// sample files, digits that repeat or count.
func guessable(s string) bool {
	s = strings.ToLower(s)
	if slices.Contains(guessed, s) || len(s) > 0 && len(s) < 4 {
		return true
	}
	if strings.Trim(s, "0123456789") != "" {
		return false
	}
	return strings.Count(s, s[:1]) == len(s) || strings.Contains("01234567890", s) || strings.Contains("0987654321", s) || len(s) <= 4
}

// authPasses calls fn for the auth_pass of every instance that has
// authentication.
func (c *checker) authPasses(fn func(in *config.Instance, st *syntax.Statement)) {
	for _, in := range c.cfg.Instances {
		block := keyword(c.block(in.Where), "authentication")
		if st := keyword(block, "auth_pass"); st != nil && len(st.Words) > 1 && in.AuthPass != "" {
			fn(in, st)
		}
	}
}

// guessableAuthPass: each one once. The message must not hold such a word,
// because what is confidential is blotted out of it.
func guessableAuthPass(c *checker) {
	seen := map[config.Secret]bool{}
	c.authPasses(func(in *config.Instance, st *syntax.Statement) {
		if guessable(string(in.AuthPass)) && !seen[in.AuthPass] {
			c.report(st.Words[1].Place(), "anybody on the segment guesses this one, and can then take the addresses over with an advert of priority 255", "eight random characters, the same on all nodes")
		}
		seen[in.AuthPass] = true
	})
}

// authPassInClear: once, where nothing worse is said.
func authPassInClear(c *checker) {
	told := false
	c.authPasses(func(in *config.Instance, st *syntax.Statement) {
		if told || in.Auth != config.AuthPass || guessable(string(in.AuthPass)) {
			return
		}
		told = true
		c.report(st.Pos().Place(), fmt.Sprintf("vrrp_instance %s: auth_type PASS sends the secret in clear with every advert: it keeps misconfigured neighbours out, not somebody who listens", in.Name),
			"nothing on a segment that only directors can reach; no other use of that secret")
	})
}
