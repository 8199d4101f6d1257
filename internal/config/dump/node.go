package dump

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Node is one setting: a keyword with its words, or a block.
type Node struct {
	Keyword string
	Words   []string
	// Note is where the value comes from, or that the setting is off.
	Note string
	// Off means that the keyword must not be written for this value: it is
	// printed as a comment.
	Off bool
	// Flag is a keyword without a value: set or not.
	Flag  bool
	Block bool
	// Ours marks a block that keepalived does not know: its lines begin with
	// @kaname, so that keepalived passes over them.
	Ours bool
	Body []*Node
}

func (n *Node) add(c *Node) *Node {
	n.Body = append(n.Body, c)
	return c
}

// String prints the settings of n, one a line, n itself being the file.
func (n *Node) String() string {
	var b strings.Builder
	for i, c := range n.Body {
		if c.Block && i > 0 {
			b.WriteByte('\n')
		}
		c.write(&b, 0, "")
	}
	return b.String()
}

func (n *Node) write(b *strings.Builder, depth int, mark string) {
	if n.Ours {
		mark = "@kaname "
	}
	line := mark + strings.Repeat("    ", depth)
	if n.Off {
		line += "# "
	}
	line += n.Keyword
	for _, w := range n.Words {
		line += " " + w
	}
	if n.Off {
		line += " is not set"
	}
	if n.Block {
		line += " {"
	}
	if n.Note != "" {
		line = fmt.Sprintf("%-47s # %s", line, n.Note)
	}
	b.WriteString(line + "\n")
	if !n.Block {
		return
	}
	for _, c := range n.Body {
		c.write(b, depth+1, mark)
	}
	b.WriteString(mark + strings.Repeat("    ", depth) + "}\n")
}

// MarshalJSON prints n as an object: keyword to value. A block that can stand
// several times is a list, and its name the member "name"; words of a line are
// one string; a flag that is not set is false, anything else null. With an origin
// a setting is an object of value and origin.
func (n *Node) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, g := range n.groups() {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(g[0].Keyword)
		if err != nil {
			return nil, err
		}
		v, err := g.value()
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(v)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// alike are the settings of a block that have one keyword.
type alike []*Node

func (n *Node) groups() []alike {
	var out []alike
	at := map[string]int{}
	for _, c := range n.Body {
		i, ok := at[c.Keyword]
		if !ok {
			i = len(out)
			at[c.Keyword] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], c)
	}
	return out
}

func (g alike) value() ([]byte, error) {
	single := len(g) == 1 && !listed[g[0].Keyword]
	var all []any
	for _, n := range g {
		v := n.plain()
		switch {
		case n.Block:
			v = n.object()
		case n.Note != "":
			v = map[string]any{"value": v, "origin": n.Note}
		}
		if single {
			return json.Marshal(v)
		}
		all = append(all, v)
	}
	return json.Marshal(all)
}

// listed are the blocks of which there can be any number.
var listed = map[string]bool{
	"vrrp_instance": true, "vrrp_sync_group": true, "vrrp_script": true, "vrrp_track_process": true, "track_file": true,
	"track_group": true, "garp_group": true, "bfd_instance": true, "virtual_server": true, "real_server": true, "url": true, "key": true,
	"TCP_CHECK": true, "HTTP_GET": true, "SSL_GET": true, "SMTP_CHECK": true, "DNS_CHECK": true, "MISC_CHECK": true,
	"UDP_CHECK": true, "PING_CHECK": true, "FILE_CHECK": true, "BFD_CHECK": true,
}

// plain is the value of a line.
func (n *Node) plain() any {
	switch {
	case n.Off && n.Flag:
		return false
	case n.Off:
		return nil
	case len(n.Words) == 0, len(n.Words) == 1 && n.Words[0] == "true":
		return true
	case len(n.Words) == 1 && n.Words[0] == "false":
		return false
	}
	s := strings.Join(n.Words, " ")
	if len(n.Words) == 1 {
		if isNumber(s) { // in quotes it is a name, whatever it looks like
			return json.Number(s)
		}
		s = strings.Trim(s, `"`)
	}
	return s
}

func isNumber(s string) bool {
	var v json.Number
	return s != "" && json.Unmarshal([]byte(s), &v) == nil && s[0] != '"'
}

// object is a block with its name, or a list when it holds lines of values.
func (n *Node) object() any {
	if valueBlock(n) {
		lines := []string{}
		for _, c := range n.Body {
			lines = append(lines, strings.Join(append([]string{c.Keyword}, c.Words...), " "))
		}
		return lines
	}
	o := &Node{Body: n.Body}
	if len(n.Words) > 0 {
		name := &Node{Keyword: "name", Words: []string{`"` + strings.Join(n.Words, " ") + `"`}}
		o.Body = append([]*Node{name}, n.Body...)
	}
	return o
}
