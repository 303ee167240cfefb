package tree

import (
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// MaxIgnoreSize is the longest .dockerignore that is read, in bytes.
const MaxIgnoreSize = 4 << 20

// maxPatterns bounds the work per file.
const maxPatterns = 100_000

// Patterns are exclusions in .dockerignore's language (moby/patternmatcher). The zero value and nil exclude nothing.
type Patterns struct {
	pm    *patternmatcher.PatternMatcher
	words []string
}

// ReadIgnore reads a .dockerignore.
func ReadIgnore(r io.Reader) (*Patterns, error) {
	words, err := ignorefile.ReadAll(io.LimitReader(r, MaxIgnoreSize))
	if err != nil {
		return nil, fmt.Errorf("reading .dockerignore: %w", err)
	}
	return NewPatterns(words)
}

// NewPatterns compiles exclusions; a leading ! takes back.
func NewPatterns(words []string) (p *Patterns, err error) {
	if len(words) == 0 {
		return nil, nil
	}
	if len(words) > maxPatterns {
		return nil, fmt.Errorf("%d exclusion patterns, more than %d", len(words), maxPatterns)
	}
	pm, err := patternmatcher.New(words)
	if err != nil {
		return nil, fmt.Errorf("reading exclusion patterns: %w", err)
	}
	if _, err := pm.MatchesOrParentMatches("x"); err != nil { // compiles them
		return nil, fmt.Errorf("reading exclusion patterns: %w", err)
	}
	return &Patterns{pm: pm, words: words}, nil
}

// Words returns the patterns as given.
func (p *Patterns) Words() []string {
	if p == nil {
		return nil
	}
	return p.words
}

// Excludes tells whether a path relative to the root, or one of its parents, is excluded.
func (p *Patterns) Excludes(rel string) bool {
	if p == nil {
		return false
	}
	hit, err := p.pm.MatchesOrParentMatches(strings.TrimPrefix(path.Clean("/"+rel), "/"))
	return err == nil && hit
}

// verdict is what the patterns say about a directory or file, and what its children need to know.
type verdict struct {
	info     patternmatcher.MatchInfo
	excluded bool
}

func (p *Patterns) judge(rel string, parent verdict) (verdict, error) {
	if p == nil {
		return verdict{}, nil
	}
	hit, info, err := p.pm.MatchesUsingParentResults(rel, parent.info)
	if err != nil {
		return verdict{}, fmt.Errorf("matching %q with exclusion patterns: %w", rel, err)
	}
	return verdict{info: info, excluded: hit}, nil
}

// mayReturn tells whether something below an excluded directory may be taken back by a ! pattern.
func (p *Patterns) mayReturn(rel string) bool {
	if p == nil || !p.pm.Exclusions() {
		return false
	}
	for _, pat := range p.pm.Patterns() {
		if pat.Exclusion() && couldLieBelow(pat.String(), rel) {
			return true
		}
	}
	return false
}

// couldLieBelow compares a pattern's literal beginning with a directory.
func couldLieBelow(pattern, dir string) bool {
	literal := pattern
	if i := strings.IndexAny(pattern, `*?[\`); i >= 0 {
		literal = pattern[:i]
		return strings.HasPrefix(dir+"/", literal) || strings.HasPrefix(literal, dir+"/")
	}
	return strings.HasPrefix(literal+"/", dir+"/")
}
