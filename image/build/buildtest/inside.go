package buildtest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/moss-sandbox/moss/image/build/task"
	"github.com/moss-sandbox/moss/image/build/tree"
	"github.com/moss-sandbox/moss/image/layer"
)

// childMain is uid 0 of a user namespace, with mounts of its own.
func childMain() int {
	if os.Getenv(childVariable) == "probe" {
		return 0
	}
	syscall.CloseOnExec(3)
	syscall.CloseOnExec(4)
	var req request
	if err := json.NewDecoder(os.NewFile(3, "request")).Decode(&req); err != nil {
		return say(reply{Err: "reading request: " + err.Error()})
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return say(reply{Err: "making mounts private: " + err.Error()})
	}
	rep, err := inside(req)
	if err != nil {
		rep.Err = err.Error()
	}
	return say(rep)
}

func say(r reply) int {
	if err := json.NewEncoder(os.NewFile(4, "reply")).Encode(r); err != nil {
		return 1
	}
	return 0
}

func inside(req request) (rep reply, err error) {
	switch req.Kind {
	case "task":
		rep.Result, err = doTask(*req.Task)
	case "run":
		err = doRun(req.Run)
	case "pack":
		rep.Stats, err = doPack(req)
	case "extract":
		rep.Stats, err = doExtract(req.Dir)
	case "remove":
		err = os.RemoveAll(req.Dir)
	}
	return rep, err
}

// mount makes a stack one directory and returns its root.
func mount(s task.Stack) (string, error) {
	if len(s.Lowers) == 0 {
		return s.Upper, nil
	}
	if len(s.Lowers) == 1 && s.Upper == "" {
		return s.Lowers[0], nil
	}
	target, err := os.MkdirTemp("", "buildtest-")
	if err != nil {
		return "", err
	}
	options := "userxattr,lowerdir=" + strings.Join(s.Lowers, ":")
	if s.Upper != "" {
		options += ",upperdir=" + s.Upper + ",workdir=" + s.Work
	}
	if err := syscall.Mount("overlay", target, "overlay", 0, options); err != nil {
		os.Remove(target)
		return "", fmt.Errorf("mounting overlay (%s): %w", options, err)
	}
	return target, nil
}

// unmount ends what mount made, so that the upper is complete and no directory stays.
func unmount(dir string, s task.Stack) {
	if strings.Contains(dir, "buildtest-") && (len(s.Lowers) > 1 || len(s.Lowers) == 1 && s.Upper != "") {
		if syscall.Unmount(dir, syscall.MNT_DETACH) == nil {
			os.Remove(dir)
		}
	}
}

// notes are the owners of a stack: the side indexes of its directories, top first.
func notes(s task.Stack) layer.Owners {
	dirs := s.Lowers
	if s.Upper != "" {
		dirs = append([]string{s.Upper}, dirs...)
	}
	var out layer.Stack
	for _, d := range dirs {
		f, err := os.Open(filepath.Dir(d))
		if err != nil {
			continue
		}
		out = append(out, layer.NewRecorder(int(f.Fd()), "owners"))
		keep = append(keep, f)
	}
	return out
}

// keep holds files open until the child ends.
var keep []*os.File

func closeNotes(o layer.Owners) error {
	for _, r := range o.(layer.Stack) {
		if err := r.(*layer.Recorder).Close(); err != nil {
			return err
		}
	}
	return nil
}

func doTask(t task.Task) (task.Result, error) {
	var r task.Roots
	dir, err := mount(t.Root)
	if err != nil {
		return task.Result{}, err
	}
	defer unmount(dir, t.Root)
	if r.Root, err = tree.Open(dir); err != nil {
		return task.Result{}, err
	}
	defer r.Root.Close()
	own := notes(t.Root)
	r.Owners, r.Out = task.Recording{Notes: own}, os.Stdout
	for _, s := range t.Sources {
		dir, err := mount(s)
		if err != nil {
			return task.Result{}, err
		}
		defer unmount(dir, s)
		d, err := tree.Open(dir)
		if err != nil {
			return task.Result{}, err
		}
		defer d.Close()
		r.Sources = append(r.Sources, d)
		r.From = append(r.From, task.Recording{Notes: notes(s)})
	}
	res := task.Apply(t, r)
	return res, closeNotes(own)
}

func doPack(req request) (layer.Stats, error) {
	upper := filepath.Join(req.Dir, "fs")
	if len(req.Options.Prune) > 0 {
		if err := prune(upper, req.Lowers, req.Options.Prune); err != nil {
			return layer.Stats{}, err
		}
	}
	f, err := os.Open(upper)
	if err != nil {
		return layer.Stats{}, err
	}
	defer f.Close()
	opts := layer.WriteOptions{Owners: notes(task.Stack{Upper: upper})}
	if req.Options.Newest != nil {
		opts.Newest = *req.Options.Newest
	}
	return layer.Write(context.Background(), os.Stdout, int(f.Fd()), opts)
}

func prune(upper string, lowers, paths []string) error {
	root, err := tree.Open(upper)
	if err != nil {
		return err
	}
	defer root.Close()
	r := task.Roots{Root: root}
	for _, l := range lowers {
		d, err := tree.Open(l)
		if err != nil {
			return err
		}
		defer d.Close()
		r.Sources = append(r.Sources, d)
	}
	return task.Apply(task.Task{Actions: []task.Action{{Prune: &task.Prune{Paths: paths}}}}, r).Err()
}

func doExtract(dir string) (layer.Stats, error) {
	fs := filepath.Join(dir, "fs")
	if err := os.Mkdir(fs, 0o755); err != nil {
		return layer.Stats{}, err
	}
	f, err := os.Open(fs)
	if err != nil {
		return layer.Stats{}, err
	}
	defer f.Close()
	own := notes(task.Stack{Upper: fs})
	stats, err := layer.Extract(context.Background(), os.Stdin, int(f.Fd()), layer.Options{Owners: own.(layer.Stack)[0]})
	if err == nil {
		err = closeNotes(own)
	}
	return stats, err
}
