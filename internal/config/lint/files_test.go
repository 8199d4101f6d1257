package lint

import (
	"io/fs"
	"regexp"
	"strconv"
	"strings"

	"github.com/kaname-lb/kaname/internal/config/syntax"
)

// exampleFiles are the files of a page as page.go describes them.
type exampleFiles struct{ syntax.MapFiles }

func exampleFilesOf(p *Page) exampleFiles {
	files := exampleFiles{syntax.MapFiles{}}
	for _, f := range p.Files {
		if f.Text != "" {
			files.MapFiles[f.Name] = unfold(f.Text)
		}
	}
	return files
}

var repeated = regexp.MustCompile(`<(.)\*(\d+)>`)

// unfold writes out what a page cannot hold.
func unfold(s string) string {
	s = strings.NewReplacer("<NUL>", "\x00", "<CR>", "\r", "<FF>", "\xff").Replace(s)
	return repeated.ReplaceAllStringFunc(s, func(m string) string {
		p := repeated.FindStringSubmatch(m)
		n, _ := strconv.Atoi(p[2])
		return strings.Repeat(p[1], n)
	})
}

func (e exampleFiles) Read(name string) ([]byte, fs.FileMode, error) {
	b, m, err := e.MapFiles.Read(name)
	if strings.HasPrefix(string(b), "#!") {
		m |= 0o111
	}
	return b, m, err
}
