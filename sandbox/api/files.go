package api

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/moss-sandbox/moss/image/layer/compress"
	"github.com/moss-sandbox/moss/sandbox/engine/files"
	"github.com/moss-sandbox/moss/sandbox/view"
)

// pathStat is the document of X-Docker-Container-Path-Stat.
type pathStat struct {
	Name       string      `json:"name"`
	Size       int64       `json:"size"`
	Mode       fs.FileMode `json:"mode"`
	Mtime      time.Time   `json:"mtime"`
	LinkTarget string      `json:"linkTarget"`
}

// open opens the container and the path of an archive request.
func (s *Server) openFiles(q *request) (*files.Container, string, error) {
	p := q.query.Get("path")
	if p == "" {
		return nil, "", badRequest("missing parameter: path")
	}
	c, err := files.Open(q.r.Context(), s.engine, q.vars["name"])
	return c, absolute(p), err
}

// absolute is a path from the root, with what its ending says: "/." for a directory's content, "/" for a directory.
func absolute(p string) string {
	clean := path.Clean("/" + p)
	switch {
	case clean == "/":
	case strings.HasSuffix(p, "/."):
		return clean + "/."
	case strings.HasSuffix(p, "/"):
		return clean + "/"
	}
	return clean
}

// lost is Docker's sentence for a path that is not there.
func (q *request) lost(err error, p string) error {
	if errors.Is(err, fs.ErrNotExist) {
		return notFound("Could not find the file %s in container %s", p, q.vars["name"])
	}
	return err
}

// stat finds a path and tells of it in the header. The last part is not followed.
func (q *request) stat(c *files.Container, p string) error {
	st, err := c.Stat(q.r.Context(), p, false)
	if err != nil {
		return q.lost(err, p)
	}
	name := st.Name
	if path.Clean(p) == "/" {
		name = "/"
	}
	b, err := json.Marshal(pathStat{Name: name, Size: st.Size, Mode: st.Mode, Mtime: st.ModTime, LinkTarget: st.Link})
	if err != nil {
		return err
	}
	q.w.Header().Set("X-Docker-Container-Path-Stat", base64.StdEncoding.EncodeToString(b))
	return nil
}

// archiveHead serves HEAD /containers/{name}/archive.
func (s *Server) archiveHead(q *request) error {
	c, p, err := s.openFiles(q)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := q.stat(c, p); err != nil {
		return err
	}
	q.w.WriteHeader(http.StatusOK)
	return nil
}

// archiveGet serves GET /containers/{name}/archive.
func (s *Server) archiveGet(q *request) error {
	c, p, err := s.openFiles(q)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := q.stat(c, p); err != nil {
		return err
	}
	q.w.Header().Set("Content-Type", "application/x-tar")
	return q.lost(c.Read(q.r.Context(), p, false, q.w), p)
}

// archivePut serves PUT /containers/{name}/archive.
func (s *Server) archivePut(q *request) error {
	c, p, err := s.openFiles(q)
	if err != nil {
		return err
	}
	defer c.Close()
	st, err := c.Stat(q.r.Context(), p, true)
	if err != nil {
		return q.lost(err, p)
	}
	if !st.Mode.IsDir() {
		return badRequest("extraction point is not a directory")
	}
	body, err := compress.NewReader(q.r.Body)
	if err != nil {
		return badRequest("reading archive: %v", err)
	}
	defer body.Close()
	if err := c.Write(q.r.Context(), p, body, q.flag("copyUIDGID")); err != nil {
		return putError(q.lost(err, p))
	}
	q.w.WriteHeader(http.StatusOK)
	return nil
}

// putError gives what the archive or the container refuses its status.
func putError(err error) error {
	text := err.Error()
	for _, refusal := range []string{"cannot overwrite", "reading archive", "extraction point"} {
		if strings.HasPrefix(text, refusal) {
			return otherwise(http.StatusBadRequest, err)
		}
	}
	if strings.Contains(text, "read-only") {
		return otherwise(http.StatusForbidden, err)
	}
	return err
}

// export serves GET /containers/{name}/export.
func (s *Server) export(q *request) error {
	c, err := s.engine.Find(q.r.Context(), q.vars["name"])
	if err != nil {
		return err
	}
	q.w.Header().Set("Content-Type", "application/octet-stream")
	return files.Export(q.r.Context(), s.engine, c, q.w)
}

// changes serves GET /containers/{name}/changes.
func (s *Server) changes(q *request) error {
	c, err := s.engine.Find(q.r.Context(), q.vars["name"])
	if err != nil {
		return err
	}
	list, err := files.Diff(q.r.Context(), s.engine, c)
	if err != nil {
		return err
	}
	out := []view.FilesystemChange{}
	for _, ch := range list {
		kind := view.ChangeKind(0)
		switch ch.Kind {
		case files.Added:
			kind = 1
		case files.Deleted:
			kind = 2
		case files.Changed:
		}
		out = append(out, view.FilesystemChange{Kind: kind, Path: ch.Path})
	}
	return q.ok(out)
}
