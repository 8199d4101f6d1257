package lint

import (
	"fmt"
	"slices"

	"github.com/kaname-lb/kaname/internal/config"
)

// pairAuthentication: the adverts of each fail the other's test. Passwords are
// compared and never shown.
func pairAuthentication(c *pairChecker) {
	c.each(func(a, b side) {
		if version(a.in) != 2 || version(b.in) != 2 {
			return
		}
		differs := ""
		switch {
		case a.in.Auth != b.in.Auth:
			differs = fmt.Sprintf("%s, but %s on %s", authName(b.in), authName(a.in), a.Name)
		case a.in.AuthPass != b.in.AuthPass:
			differs = "another password than on " + a.Name
		default:
			return
		}
		c.report(b.node, b.at(b.in.Where, "authentication"), fmt.Sprintf("vrrp_instance %s: %s: %s", b.in.Name, differs, bothMaster),
			a.cite(a.in.Where, "authentication"), "the same block authentication on all nodes")
	})
}

func authName(in *config.Instance) string {
	if in.Auth == config.AuthNone {
		return "no authentication"
	}
	return "auth_type " + string(in.Auth)
}

// pairHMAC: signed adverts have to be verified by the other node.
func pairHMAC(c *pairChecker) {
	c.eachSide(func(s, other side) {
		mine, theirs := s.in.AuthHMAC, other.in.AuthHMAC
		if theirs == nil || theirs.Mode == "permissive" {
			return
		}
		why := ""
		switch {
		case mine == nil || mine.Mode == "receive-only":
			why = fmt.Sprintf("does not sign its adverts, and %s takes only signed ones", other.Name)
		case !knowsKey(theirs, mine):
			why = fmt.Sprintf("signs with key %d, which %s does not have or has with another value", mine.ActiveKey, other.Name)
		default:
			return
		}
		c.report(s.node, s.at(s.in.Where, "auth_hmac"), fmt.Sprintf("vrrp_instance %s: %s %s: %s drops its adverts and becomes MASTER beside it", s.in.Name, s.Name, why, other.Name),
			other.cite(other.in.Where, "auth_hmac"), "the same keys on all nodes, and mode permissive while they are changed")
	})
}

// knowsKey reports whether a verifier has the active key of a signer.
func knowsKey(verifier, signer *config.AuthHMAC) bool {
	i := slices.IndexFunc(signer.Keys, func(k config.HMACKey) bool { return k.ID == signer.ActiveKey })
	return i < 0 || slices.ContainsFunc(verifier.Keys, func(k config.HMACKey) bool {
		return k.ID == signer.ActiveKey && k.Value == signer.Keys[i].Value
	})
}
