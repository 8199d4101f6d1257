package lint

import (
	"io/fs"
	"strings"

	"github.com/kaname-lb/kaname/internal/config/syntax"
)

// exampleFiles are the files of a page: an empty one is missing, and one that
// begins with #! is executable.
type exampleFiles struct{ syntax.MapFiles }

func exampleFilesOf(p *Page) exampleFiles {
	files := exampleFiles{syntax.MapFiles{}}
	for _, f := range p.Files {
		if f.Text != "" {
			files.MapFiles[f.Name] = f.Text
		}
	}
	return files
}

func (e exampleFiles) Read(name string) ([]byte, fs.FileMode, error) {
	b, m, err := e.MapFiles.Read(name)
	if strings.HasPrefix(string(b), "#!") {
		m |= 0o111
	}
	return b, m, err
}
