package config

import (
	"slices"
	"strings"
)

// wrongWords are words found in real files that are no keywords and too far
// from the right one for an edit distance: old names and common inventions.
var wrongWords = map[string]string{
	"nb_get_retry":        "retry",
	"connection_timeout":  "connect_timeout",
	"lvs_id":              "router_id",
	"vrrp_server":         "virtual_server",
	"state_file_location": "state_dump_file",
	"stats_file_location": "stats_dump_file",
	"json_file_location":  "json_dump_file",
	"vrrp_sync_instance":  "vrrp_sync_group",
}

// suggestion is the keyword that was probably meant, and the block it belongs
// to.
type suggestion struct {
	word, path string
}

// belongs says where the word would be right.
func (s suggestion) belongs() string {
	if s.path == "" {
		return s.word + " stands outside all blocks"
	}
	return s.word + " belongs in " + s.path[strings.LastIndexByte(s.path, '/')+1:]
}

// suggest looks for the keyword meant by word in the block path: in the block
// itself, then among its own keywords of all other blocks. Empty when nothing
// is near.
func suggest(path, word string) suggestion {
	t := vocabulary()
	if w := nearest(t[path], word); w != "" {
		return suggestion{w, path}
	}
	for _, wrong := range sortedKeys(wrongWords) {
		if right := wrongWords[wrong]; distance(wrong, word) <= 1 {
			if _, ok := t[path][right]; ok {
				return suggestion{right, path}
			}
		}
	}
	paths := sortedKeys(t)
	// The blocks around this one first, the nearest first of all.
	slices.SortStableFunc(paths, func(a, b string) int { return closeness(path, b) - closeness(path, a) })
	for _, p := range paths {
		if _, ok := t[p][word]; ok && p != path {
			return suggestion{word, p}
		}
	}
	for _, p := range paths {
		if w := nearest(t[p], word); w != "" && p != path {
			return suggestion{w, p}
		}
	}
	return suggestion{}
}

// closeness is the length of the common beginning of two paths, in blocks.
func closeness(a, b string) int {
	x, y := strings.Split(a, "/"), strings.Split(b, "/")
	n := 0
	for n < len(x) && n < len(y) && x[n] == y[n] {
		n++
	}
	return n
}

// maxNames is how many names of the user's are searched for what was meant: in
// a file with more and as many mistakes the search would cost more than all else.
const maxNames = 1000

// nearestName is nearest among names that the user has given.
func nearestName[V any](b *builder, names map[string]V, word string) string {
	if len(names) > maxNames || len(b.findings) > maxFindings {
		return ""
	}
	return nearest(names, word)
}

// nearest returns the key with the smallest edit distance to word, when that
// is small enough to be a slip.
func nearest[V any](words map[string]V, word string) string {
	return nearestOf(sortedKeys(words), word)
}

// nearestOf is nearest for a list, of whose words the first of two that are as
// near is taken.
func nearestOf(words []string, word string) string {
	best, bestDist := "", 1+max(1, len(word)/4)
	for _, w := range words {
		if n := len(w) - len(word); n >= bestDist || -n >= bestDist {
			continue
		}
		d := distance(w, word)
		if strings.EqualFold(w, word) {
			d = 0
		}
		if d < bestDist {
			best, bestDist = w, d
		}
	}
	return best
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// distance is the optimal string alignment distance: insertions, deletions,
// substitutions and swaps of neighbours each count one. Words that differ too
// much in length, or are no sane keywords, are not compared.
func distance(a, b string) int {
	if len(a)-len(b) > 8 || len(b)-len(a) > 8 || len(b) > 64 {
		return 99
	}
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
