package layer

import "strings"

// The names of AUFS whiteouts, which all layer formats kept (OCI layer.md, "Whiteouts").
const (
	whPrefix = ".wh."
	whMeta   = ".wh..wh." // AUFS's own files; all but whOpaque mean nothing here
	whOpaque = ".wh..wh..opq"
)

// split takes a stream's name apart into the components below the root; none for the root itself. Nothing is resolved:
// ".." and absolute names are refused, so that what is left can be walked one by one. into is reused.
func (l *Limits) split(name string, into []string) ([]string, error) {
	switch {
	case name == "", strings.IndexByte(name, 0) >= 0:
		return nil, ErrName
	case len(name) > l.PathBytes:
		return nil, &LimitError{"bytes in a name", int64(l.PathBytes)}
	case name[0] == '/':
		return nil, ErrAbsolute
	}
	into = into[:0]
	for c := range strings.SplitSeq(name, "/") {
		switch c {
		case "", ".":
		case "..":
			return nil, ErrEscape
		default:
			into = append(into, c)
		}
	}
	if len(into) > l.Depth {
		return nil, &LimitError{"levels of directories", int64(l.Depth)}
	}
	return into, nil
}

// hidden tells whether a directory on the way is named like a whiteout: no reader of layers could name what is in it.
func hidden(parents []string) bool {
	for _, c := range parents {
		if strings.HasPrefix(c, whPrefix) {
			return true
		}
	}
	return false
}
