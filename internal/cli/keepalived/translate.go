package keepalived

import (
	"fmt"
	"strings"
)

// translate returns keepalived's lines for a record of the director; known is
// false when it has none. That a record is known and yields no line means that
// keepalived is silent there.
func translate(message string, f fields) (lines []Line, known bool) {
	t, known := translations[message]
	if !known {
		return nil, false
	}
	return t(f), true
}

var translations = map[string]func(fields) []Line{
	"vrrp state changed":             instanceChanged,
	"vrrp group state changed":       groupChanged,
	"vrrp priority changed":          priorityChanged,
	"script changed":                 scriptChanged,
	"advert of lower priority heard": contended,
	"vrrp packet ignored":            packetIgnored,
	"real server up":                 func(f fields) []Line { return server("Adding", "to", f) },
	"real server down":               func(f fields) []Line { return server("Removing", "from", f) },
	"weight changed":                 weightChanged,
	"check succeeded":                checkSucceeded,
	"check failed":                   checkFailed,
	"quorum gained":                  quorumGained,
	"quorum lost":                    quorumLost,
	"reloading":                      func(fields) []Line { return []Line{{Text: "Reloading ..."}, {Ident: IdentVRRP, Text: "Reloading"}} },
	"reloaded":                       func(fields) []Line { return []Line{{Ident: IdentVRRP, Text: "Reload complete"}} },
	"serving":                        func(fields) []Line { return []Line{{Text: "Startup complete"}} },
	"stopping":                       func(fields) []Line { return []Line{{Text: "Stopping"}} },
}

func vrrp(detail bool, format string, a ...any) Line {
	return Line{Ident: IdentVRRP, Detail: detail, Text: fmt.Sprintf(format, a...)}
}

func checks(format string, a ...any) []Line {
	return []Line{{Ident: IdentChecks, Text: fmt.Sprintf(format, a...)}}
}

func instanceChanged(f fields) []Line {
	name, from, to := f.str("instance"), f.str("from"), f.str("to")
	var out []Line
	switch to {
	case "MASTER":
		if f.str("reason") == "no advert heard" {
			out = append(out, vrrp(true, "(%s) Receive advertisement timeout", name))
		}
		return append(out, vrrp(false, "(%s) Entering MASTER STATE", name), vrrp(true, "(%s) setting VIPs.", name))
	case "BACKUP":
		if from == "MASTER" {
			out = append(out, outranked(name, f))
		}
		init := ""
		if from == "INIT" {
			init = " (init)"
		}
		out = append(out, vrrp(false, "(%s) Entering BACKUP STATE%s", name, init))
	case "FAULT":
		out = append(out, vrrp(false, "(%s) Entering FAULT STATE", name), vrrp(true, "(%s) %s", name, f.str("reason")))
	}
	if from == "MASTER" {
		if to != "BACKUP" {
			out = append(out, vrrp(true, "(%s) sent 0 priority", name))
		}
		out = append(out, vrrp(true, "(%s) removing VIPs.", name))
	}
	return out
}

// outranked says why a master gives way.
func outranked(name string, f fields) Line {
	reason := f.str("reason")
	from, rest, ok := strings.Cut(reason, " has higher priority ")
	if ok {
		return vrrp(false, "(%s) Master received advert from %s with higher priority %s, ours %s", name, from, rest, f.str("priority"))
	}
	if from, rest, ok := strings.Cut(reason, " has the same priority "); ok {
		priority, _, _ := strings.Cut(rest, " ")
		return vrrp(false, "(%s) Master received advert from %s with same priority %s but higher IP address than ours", name, from, priority)
	}
	return vrrp(true, "(%s) %s", name, reason)
}

func groupChanged(f fields) []Line {
	if to := f.str("to"); to == "MASTER" || to == "BACKUP" || to == "FAULT" {
		return []Line{vrrp(false, "VRRP_Group(%s) Syncing instances to %s state", f.str("group"), to)}
	}
	return nil
}

func priorityChanged(f fields) []Line {
	return []Line{vrrp(false, "(%s) Changing effective priority from %s to %s", f.str("instance"), f.str("from"), f.str("to"))}
}

// scriptChanged prints keepalived's two lines for a failure by an exit status.
func scriptChanged(f fields) []Line {
	name, reason := f.str("script"), f.str("reason")
	if f.str("up") == "true" {
		return []Line{vrrp(false, "VRRP_Script(%s) succeeded", name)}
	}
	if reason == "timed out" {
		return []Line{vrrp(false, "VRRP_Script(%s) timed_out", name)}
	}
	var out []Line
	if status, ok := strings.CutPrefix(reason, "exited with status "); ok {
		out = append(out, vrrp(false, "Script `%s` now returning %s", name, status))
	}
	return append(out, vrrp(false, "VRRP_Script(%s) failed (%s)", name, reason))
}

// ignored are keepalived's words for an advert that is dropped, by our reason.
var ignored = map[string]string{
	"malformed":   "vrrp packet too short or not well formed",
	"ttl":         "invalid TTL/HL",
	"version":     "wrong VRRP version",
	"auth-type":   "received an auth type that is not ours",
	"password":    "received an invalid passwd!",
	"icv":         "received an invalid authentication header",
	"replay":      "received a replayed authentication header",
	"interval":    "advertisement interval mismatch",
	"type":        "Invalid packet type",
	"checksum":    "Invalid VRRPv2 checksum",
	"addresses":   "expected other VIPs than received",
	"destination": "Expected multicast packet but received unicast packet",
}

func packetIgnored(f fields) []Line {
	text, known := ignored[f.str("reason")]
	if !known {
		text = "vrrp packet ignored: " + f.str("reason")
	}
	if d := f.str("detail"); d != "" {
		text += " (" + d + ")"
	}
	return []Line{vrrp(false, "(%s) %s from %s", f.str("instance"), text, f.str("from"))}
}

func contended(f fields) []Line {
	return []Line{vrrp(false, "(%s) Received advert from %s with lower priority %s, ours %s, forcing new election",
		f.str("instance"), f.str("from"), f.str("priority"), f.str("ours"))}
}

func server(verb, preposition string, f fields) []Line {
	return checks("%s service %s %s VS %s", verb, realServer(f), preposition, virtualServer(f.str("service")))
}

func weightChanged(f fields) []Line {
	return checks("Changing weight from %s to %s for active service %s of VS %s",
		f.str("from"), f.str("to"), realServer(f), virtualServer(f.str("service")))
}

func checkSucceeded(f fields) []Line {
	switch kind := f.str("check"); kind {
	case "TCP_CHECK":
		return checks("TCP connection to %s success.", realServer(f))
	default:
		return checks("%s on service %s succeeded.", kind, realServer(f))
	}
}

func checkFailed(f fields) []Line {
	out := checks("%s on service %s failed.", f.str("check"), realServer(f))
	if n := f.str("retries"); n != "" && n != "0" {
		out = checks("%s on service %s failed after %s retries.", f.str("check"), realServer(f), n)
	}
	return append(out, Line{Ident: IdentChecks, Detail: true, Text: realServer(f) + ": " + f.str("reason")})
}

// quorumGained and quorumLost print the sum of quorum and hysteresis; the
// record has its result, and the hysteresis.
func quorumGained(f fields) []Line {
	q, h, t, w := quorum(f, -1)
	return checks("Gained quorum %d+%d=%d <= %d for VS %s", q, h, t, w, virtualServer(f.str("service")))
}

func quorumLost(f fields) []Line {
	q, h, t, w := quorum(f, +1)
	return checks("Lost quorum %d-%d=%d > %d for VS %s", q, h, t, w, virtualServer(f.str("service")))
}

func quorum(f fields, sign int64) (q, h, threshold, weight int64) {
	num := func(name string) int64 {
		if v, ok := f[name]; ok {
			if n, ok := v.Any().(int64); ok {
				return n
			}
		}
		return 0
	}
	h, threshold, weight = num("hysteresis"), num("threshold"), num("weight")
	return threshold + sign*h, h, threshold, weight
}

// realServer is "[10.0.0.1]:tcp:80" for the record's server and service.
func realServer(f fields) string {
	addr, port := splitPort(f.str("server"))
	return "[" + addr + "]:" + protocol(f.str("service")) + ":" + port
}

// virtualServer is the same for a service as kaname names it: "192.0.2.1 80",
// "192.0.2.1 80 UDP", "group NAME", "fwmark 3".
func virtualServer(id string) string {
	w := strings.Fields(id)
	switch {
	case len(w) < 2:
		return id
	case w[0] == "group":
		return w[1]
	case w[0] == "fwmark":
		return "FWM " + w[1]
	}
	return "[" + w[0] + "]:" + protocol(id) + ":" + w[1]
}

func protocol(id string) string {
	w := strings.Fields(id)
	if n := len(w); n > 2 {
		return strings.ToLower(w[n-1])
	}
	return "tcp"
}

func splitPort(s string) (addr, port string) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, "0"
	}
	return strings.Trim(s[:i], "[]"), s[i+1:]
}
