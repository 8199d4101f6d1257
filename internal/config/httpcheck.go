package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// httpKeyword reads what HTTP_GET and SSL_GET have and the table leaves to code.
func (b *builder) httpKeyword(l *line, c *checker) bool {
	switch l.kw {
	case "url":
		b.url(l, c)
	case "nb_get_retry":
		l.note("deprecated", "nb_get_retry is an old name of retry", "retry "+words(l))
		return l.into(c)
	case "sni_name": // without a name it is the one of the Host header
		c.EnableSNI = true
		return l.left() == 0
	default:
		return false
	}
	return true
}

func (b *builder) url(l *line, c *checker) {
	u := URL{Where: l.st.Pos().Place()}
	l.each(&u, func(l *line) bool { return b.urlKeyword(l, &u) })
	switch {
	case u.Path == "":
		l.warn("checker-dropped", "url without path is dropped", "path /")
		return
	case u.RegexMax != nil && *u.RegexMax < u.RegexMin:
		l.warn("regex-never-fits", fmt.Sprintf("url %s: regex_max_offset %d is below regex_min_offset %d: the check can never pass", u.Path, *u.RegexMax, u.RegexMin), fmt.Sprintf("regex_max_offset above %d, or neither", u.RegexMin))
	case u.Regex == "" && (u.RegexNoMatch || len(u.RegexOptions) > 0 || u.RegexMin > 0 || u.RegexMax != nil || u.RegexStack != [2]int{}):
		l.warn("regex-missing", fmt.Sprintf("url %s: regex_* does nothing without regex", u.Path), "regex \"PATTERN\"")
	}
	c.URLs = append(c.URLs, u)
}

func (b *builder) urlKeyword(l *line, u *URL) bool {
	switch l.kw {
	case "digest":
		b.digest(l, u)
	case "status_code":
		b.statusCodes(l, u)
	case "regex":
		b.regex(l, u)
	case "regex_options":
		b.regexOptions(l, u)
	case "regex_stack":
		b.regexStack(l, u)
	default:
		return false
	}
	return true
}

func (b *builder) digest(l *line, u *URL) {
	w, ok := l.word()
	switch {
	case !ok:
	case u.Digest != "":
		l.warn("repeated-first", "digest is given again; the first one stays", "keep one")
	case len(w.Text) != 32 || strings.Trim(strings.ToLower(w.Text), "0123456789abcdef") != "":
		l.badValue(w, fmt.Sprintf("digest is an MD5 of 32 hex digits, not %q; the body is not compared", w.Text), "", "")
	default:
		u.Digest = strings.ToLower(w.Text)
	}
}

// statusCodes reads N or N-M, any number of them.
func (b *builder) statusCodes(l *line, u *URL) {
	if l.left() == 0 {
		l.word()
	}
	for l.left() > 0 {
		w, _ := l.word()
		from, to, ranged := strings.Cut(w.Text, "-")
		if !ranged {
			to = from
		}
		lo, junk1, ok1 := leadingInt(from)
		hi, junk2, ok2 := leadingInt(to)
		if !ok1 || !ok2 || junk1+junk2 != "" || lo < 100 || hi > 599 || lo > hi {
			l.badValue(w, fmt.Sprintf("status_code is a number or range from 100 to 599, not %q; it is ignored", w.Text), "status_code 200-299", "")
			continue
		}
		u.Statuses = append(u.Statuses, StatusRange{int(lo), int(hi)})
	}
}

// regex reads a pattern: quotes of both kinds, escapes resolved.
func (b *builder) regex(l *line, u *URL) {
	if l.left() == 0 {
		l.word()
		return
	}
	ws, err := l.st.EscapedWords()
	l.next = len(l.st.Words)
	if err != nil || len(ws) < 2 {
		l.warn("unterminated-quote", fmt.Sprintf("regex: %v; the line is ignored", err), "")
		l.refused++
		return
	}
	u.Regex = ws[1]
	if len(ws) > 2 {
		l.warn("extra-words", fmt.Sprintf("regex takes one word; %q is ignored", strings.Join(ws[2:], " ")), "quote the pattern")
	}
}

// regexWords are the options that the word list of regex_options may have.
var regexWords = strings.Fields(`allow_empty_class alt_bsux auto_callout caseless dollar_endonly dotall dupnames extended firstline
	match_unset_backref multiline never_ucp never_utf no_auto_capture no_auto_possess no_dotstar_anchor no_start_optimize ucp ungreedy utf
	never_backslash_c alt_circumflex alt_verbnames use_offset_limit`)

func (b *builder) regexOptions(l *line, u *URL) {
	if l.left() == 0 {
		l.word()
	}
	for l.left() > 0 {
		w, _ := l.word()
		if slices.Contains(regexWords, w.Text) {
			u.RegexOptions = append(u.RegexOptions, w.Text)
			continue
		}
		what := fmt.Sprintf("there is no regex option %q; it is ignored (keepalived does so in silence)", w.Text)
		fix := "remove the word"
		if s := nearestOf(regexWords, w.Text); s != "" {
			what += "; did you mean " + s + "?"
			fix = "regex_options " + s
		}
		b.warn("unknown-regex-option", w.Pos, what, fix)
	}
}

// regexStack reads the first and the largest size of a stack.
func (b *builder) regexStack(l *line, u *URL) {
	lo, hi := -1, -1
	if !l.integer(&lo, 1, 1<<31-1, true) || !l.integer(&hi, 1, 1<<31-1, true) {
		return
	}
	if lo > hi {
		l.badValue(l.st.Words[1], fmt.Sprintf("regex_stack: the first size, %d, must not be above the second, %d", lo, hi), fmt.Sprintf("regex_stack %d %d", hi, lo), "nothing")
		return
	}
	u.RegexStack = [2]int{lo, hi}
}

// finishHTTP resolves names and status codes of the urls.
func finishHTTP(vs *virtualServer, rs *realServer, c *checker) {
	switch c.HTTPVersion {
	case "":
		c.HTTPVersion = "1.0"
	case "1.0c":
		c.HTTPVersion = "1.0C"
	}
	own := cmp.Or(c.VirtualHost, vs.VirtualHost) // SNI skips the real server's
	c.VirtualHost = cmp.Or(c.VirtualHost, rs.VirtualHost, vs.VirtualHost)
	for i := range c.URLs {
		u := &c.URLs[i]
		if c.EnableSNI && c.Kind == SSLGet {
			u.SNI = cmp.Or(c.SNIName, u.VirtualHost, own)
		}
		u.VirtualHost = cmp.Or(u.VirtualHost, c.VirtualHost)
		if len(u.Statuses) == 0 {
			u.Statuses = []StatusRange{{200, 299}}
		}
	}
	same := func(u URL) bool { return u.SNI == c.URLs[0].SNI }
	if !slices.ContainsFunc(c.URLs, func(u URL) bool { return !same(u) }) {
		c.SNIName = cmp.Or(c.SNIName, c.URLs[0].SNI)
	}
}
