package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/moss-sandbox/moss/image"
)

// Repair says what Check does about what it finds.
type Repair int

// The ways.
const (
	OnlyLook Repair = iota
	// SetAside moves what is damaged into quarantine and takes away trees and names that stand on nothing, so that a pull
	// or a run makes them again. It never touches volumes and containers.
	SetAside
)

// Problem is one thing Check found.
type Problem struct {
	File     string // relative to the root
	What     string
	Repaired bool
}

func (p Problem) String() string {
	if p.Repaired {
		return p.File + ": " + p.What + " (repaired)"
	}
	return p.File + ": " + p.What
}

// Check hashes every blob, reads every record and name, and compares them with each other. What cannot be repaired without
// a registry is told: pull the image again by its name. It takes the store's lock only for repairs.
func (s *Store) Check(ctx context.Context, r Repair, w Worker) ([]Problem, error) {
	if r == SetAside {
		l, err := s.lock(ctx, Exclusive)
		if err != nil {
			return nil, err
		}
		defer l.Unlock()
	}
	c := &checker{s: s, ctx: ctx, repair: r == SetAside, worker: w, bad: map[image.Digest]bool{}}
	for _, step := range []func() error{c.blobs, c.records, c.names, c.trees} {
		if err := step(); err != nil {
			return c.found, fmt.Errorf("checking the store: %w", err)
		}
	}
	return c.found, nil
}

type checker struct {
	s      *Store
	ctx    context.Context
	repair bool
	worker Worker
	found  []Problem
	bad    map[image.Digest]bool // blobs that are not what they are called
	images []*Image
}

// tell notes a problem; fix is how it is repaired, nil where it cannot be.
func (c *checker) tell(file, what string, fix func() error) {
	p := Problem{File: file, What: what}
	if c.repair && fix != nil {
		if err := fix(); err != nil {
			p.What += ", and " + err.Error()
		} else {
			p.Repaired = true
		}
	}
	c.found = append(c.found, p)
}

func (c *checker) setAside(file string) func() error {
	return func() error { return c.s.setAside(file) }
}

func (c *checker) blobs() error {
	files, err := c.s.fs.ReadDir(blobDir)
	if err != nil {
		return err
	}
	for _, n := range files {
		file := blobDir + "/" + n
		if strings.HasPrefix(n, tempPrefix) {
			continue
		}
		if !image.IsID(n) {
			c.tell(file, "not the name of a blob", c.setAside(file))
			continue
		}
		want := image.Digest("sha256:" + n)
		got, err := c.hash(file)
		if c.ctx.Err() != nil {
			return context.Cause(c.ctx)
		}
		if errors.Is(err, fs.ErrNotExist) { // collected meanwhile
			continue
		}
		if err != nil || got != want {
			c.bad[want] = true
			c.tell(file, "its content is not what its name says", c.setAside(file))
		}
	}
	return nil
}

func (c *checker) hash(file string) (image.Digest, error) {
	f, err := c.s.fs.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return hashAll(c.ctx, f, io.Discard)
}

// hashAll copies a stream and returns its digest.
func hashAll(ctx context.Context, in io.Reader, out io.Writer) (image.Digest, error) {
	h, buf := sha256.New(), make([]byte, chunkBytes)
	for ctx.Err() == nil {
		n, err := in.Read(buf)
		h.Write(buf[:n])
		if _, err := out.Write(buf[:n]); err != nil {
			return "", err
		}
		if err == io.EOF {
			return image.DigestOf(h.Sum(nil)), nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", context.Cause(ctx)
}

func (c *checker) records() error {
	files, err := c.s.fs.ReadDir("images")
	if err != nil {
		return err
	}
	for _, n := range files {
		file := "images/" + n
		hex, ok := strings.CutSuffix(n, ".json")
		if strings.HasPrefix(n, tempPrefix) {
			continue
		}
		if !ok || !image.IsID(hex) {
			c.tell(file, "not the name of an image", c.setAside(file))
			continue
		}
		m, err := c.s.load(image.Digest("sha256:" + hex))
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			c.tell(file, err.Error(), c.setAside(file))
			continue
		}
		c.images = append(c.images, m)
		c.image(file, m)
	}
	return nil
}

// image compares a record with the blobs it names. It stays, also broken: a pull brings the blobs back.
func (c *checker) image(file string, m *Image) {
	blobs := []image.Digest{m.Manifest.Digest, m.ID}
	for _, l := range m.Layers {
		blobs = append(blobs, l.Digest)
	}
	for _, d := range blobs {
		if _, ok := c.s.HasBlob(d); !ok || c.bad[d] {
			c.tell(file, fmt.Sprintf("blob %s is missing: pull the image again", d), nil)
		}
	}
}

func (c *checker) names() error {
	files, err := c.s.fs.ReadDir("names")
	if err != nil {
		return err
	}
	for _, n := range files {
		file := "names/" + n
		var rec nameRecord
		if strings.HasPrefix(n, tempPrefix) {
			continue
		}
		if err := c.s.readScan(file, &rec); err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				c.tell(file, err.Error(), c.setAside(file))
			}
			continue
		}
		if r, err := image.ParseRef(rec.Name); err != nil || nameFile(r) != file {
			c.tell(file, "it holds another name", c.setAside(file))
			continue
		}
		if _, err := c.s.load(rec.ID); errors.Is(err, ErrNotFound) {
			c.tell(file, "its image is gone", c.setAside(file))
		}
	}
	return nil
}

func (c *checker) trees() error {
	trees, err := c.s.trees()
	if err != nil {
		return err
	}
	for _, t := range trees {
		if t.diff() == "" || c.s.whole(t.dir()) {
			continue
		}
		c.tell(t.dir(), "its tree may have been lost with the power", func() error {
			old, err := c.s.hideTree(t.dir())
			if err == nil && c.worker != nil {
				err = c.worker.RemoveTree(c.ctx, c.s.root+"/"+old)
			}
			return err
		})
	}
	return nil
}

// setAside moves a file that is not what it should be into quarantine.
func (s *Store) setAside(name string) error {
	to := "quarantine/" + strings.ReplaceAll(name, "/", "%") + "-" + randomID()
	if len(to) > 200 {
		to = "quarantine/" + randomID()
	}
	if err := s.fs.Rename(name, to); err != nil {
		return fmt.Errorf("setting %q aside: %w", name, err)
	}
	return nil
}
