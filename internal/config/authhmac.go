package config

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/kaname-lb/kaname/internal/config/syntax"
)

// hmacBytes are the limits of a key's length.
const hmacLeast, hmacMost = 32, 64

// authHMAC reads auth_hmac; a second block adds to the first.
func (b *builder) authHMAC(l *line, in *instance) {
	l.told = true // finishWire says what it means
	if in.AuthHMAC == nil {
		in.AuthHMAC = &AuthHMAC{Where: l.st.Pos().Place(), AntiReplay: "time", Mode: "enforce"}
	}
	h := in.AuthHMAC
	l.each(h, func(l *line) bool {
		switch l.kw {
		case "key":
			b.hmacKey(l, h)
		case "active_key":
			in.pos["active_key"] = l.st.Pos()
			l.optionNumber("active_key", &h.ActiveKey, 1, 255)
		default:
			return false
		}
		return true
	})
}

// hmacKey reads key ID VALUE.
func (b *builder) hmacKey(l *line, h *AuthHMAC) {
	k := HMACKey{Where: l.st.Pos().Place()}
	if !l.optionNumber("a key's ID", &k.ID, 1, 255) {
		l.next = len(l.st.Words)
		return
	}
	w, ok := l.word()
	if !ok {
		return
	}
	if i := slices.IndexFunc(h.Keys, func(o HMACKey) bool { return o.ID == k.ID }); i >= 0 {
		l.warn("repeated-keyword", fmt.Sprintf("key %d is given again; the first one, at %s, stays", k.ID, h.Keys[i].Where), "another ID")
		return
	}
	if what := hmacProblem(w); what != "" {
		l.badValue(w, fmt.Sprintf("key %d %s; it is ignored", k.ID, what), fmt.Sprintf("key %d with a secret of %d to %d bytes, hex:DIGITS or file:PATH", k.ID, hmacLeast, hmacMost), "")
		return
	}
	k.Value = Secret(w.Text)
	h.Keys = append(h.Keys, k)
}

// hmacProblem says what is wrong with a key's value, without showing it.
func hmacProblem(w syntax.Word) string {
	n := len(w.Text)
	if digits, ok := strings.CutPrefix(w.Text, "hex:"); ok {
		raw, err := hex.DecodeString(digits)
		if err != nil {
			return "is no even number of hexadecimal digits"
		}
		n = len(raw)
	} else if path, ok := strings.CutPrefix(w.Text, "file:"); ok {
		if path == "" {
			return "names no file"
		}
		return ""
	}
	if n < hmacLeast || n > hmacMost {
		return fmt.Sprintf("has %d bytes, not %d to %d", n, hmacLeast, hmacMost)
	}
	return ""
}

// finishHMAC settles whether the extension is on, and drops the other
// authentication when it is.
func (b *builder) finishHMAC(in *instance) {
	h := in.AuthHMAC
	if h == nil {
		return
	}
	if !slices.ContainsFunc(h.Keys, func(k HMACKey) bool { return k.ID == h.ActiveKey }) {
		what, fix := fmt.Sprintf("active_key %d is no key", h.ActiveKey), "active_key with the ID of a key"
		if h.ActiveKey == 0 {
			what = "there is no active_key"
		}
		at := in.where("active_key")
		if !in.given("active_key") {
			at = in.where("auth_hmac")
		}
		b.warn("hmac-without-key", at, fmt.Sprintf("vrrp_instance %s: %s; auth_hmac is off and adverts are not signed", in.Name, what), fix)
		in.AuthHMAC = nil
		return
	}
	if in.Auth != AuthNone || in.AuthPass != "" {
		b.warn("auth-ignored", in.where("authentication"), fmt.Sprintf("vrrp_instance %s: auth_hmac takes the place of authentication, which is ignored", in.Name), "remove the block authentication")
		in.Auth, in.AuthPass = AuthNone, ""
	}
	if in.Strict && h.Mode != "enforce" {
		b.warn("strict-ignores", in.where("auth_hmac"), fmt.Sprintf("vrrp_instance %s: strict_mode accepts signed adverts only; mode %s is ignored and enforce is used", in.Name, h.Mode), "mode enforce")
		h.Mode = "enforce"
	}
	in.lack("auth_hmac", in.where("auth_hmac"))
}
