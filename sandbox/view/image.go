package view

import (
	"time"

	"github.com/moss-sandbox/moss/image/store"
)

// An Image is the answer of inspect for an image, in the classic form: the configuration as the image has it, the unpacked
// size, and VirtualSize, which releases before API 1.44 have.
type Image struct {
	ID            string `json:"Id"`
	RepoTags      []string
	RepoDigests   []string
	Parent        string
	Comment       string
	Created       string
	DockerVersion string
	Author        string
	Config        any
	Architecture  string
	Variant       string `json:",omitempty"`
	Os            string //nolint:revive // Docker's name
	OsVersion     string `json:",omitempty"`
	Size          int64
	VirtualSize   int64
	GraphDriver   graphDriver
	RootFS        rootFS
	Metadata      metadata
}

type graphDriver struct {
	Name string
	Data map[string]string
}

type rootFS struct {
	Type   string
	Layers []string `json:",omitempty"`
}

type metadata struct{ LastTagTime time.Time }

// InspectImage makes the answer of inspect for an image; dirs are its layers' directories, top first, if it is unpacked.
func InspectImage(m *store.Image, dirs []string) *Image {
	c := m.Config
	out := &Image{
		ID: string(m.ID), RepoTags: []string{}, RepoDigests: []string{}, Parent: string(m.Parent), Comment: c.Comment, Created: stamp(m.Created), DockerVersion: c.DockerVersion,
		Author: c.Author, Config: c.Config, Architecture: c.Architecture, Variant: c.Variant, Os: c.OS, OsVersion: c.OSVersion, Size: m.Size,
		VirtualSize: m.Size, GraphDriver: graphDriver{Name: "overlay", Data: map[string]string{}}, RootFS: rootFS{Type: "layers"}, Metadata: metadata{m.Tagged},
	}
	for _, n := range m.Names {
		out.RepoTags = append(out.RepoTags, n.Familiar())
	}
	for _, d := range m.Digests {
		out.RepoDigests = append(out.RepoDigests, d.Familiar())
	}
	for _, l := range m.Layers {
		out.RootFS.Layers = append(out.RootFS.Layers, string(l.DiffID))
	}
	for i, d := range dirs {
		key := "UpperDir"
		if i > 0 {
			key = "LowerDir"
		}
		if have := out.GraphDriver.Data[key]; have != "" {
			d = have + ":" + d
		}
		out.GraphDriver.Data[key] = d
	}
	return out
}

// An ImageSummary is one image of a list, with VirtualSize, which releases before API 1.44 have.
type ImageSummary struct {
	Containers  int64
	Created     int64
	ID          string `json:"Id"`
	Labels      map[string]string
	ParentID    string `json:"ParentId"`
	RepoDigests []string
	RepoTags    []string
	SharedSize  int64
	Size        int64
	VirtualSize int64 `json:",omitempty"`
}

// SummaryOfImage makes one image of a list; containers is how many stand on it, -1 where nobody counted.
func SummaryOfImage(m *store.Image, containers int64) *ImageSummary {
	out := &ImageSummary{
		Containers: containers, Created: m.Created.Unix(), ID: string(m.ID), Labels: notNil(m.Config.Config.Labels), RepoDigests: []string{}, RepoTags: []string{},
		SharedSize: -1, Size: m.Size, VirtualSize: m.Size,
	}
	for _, n := range m.Names {
		out.RepoTags = append(out.RepoTags, n.Familiar())
	}
	for _, d := range m.Digests {
		out.RepoDigests = append(out.RepoDigests, d.Familiar())
	}
	return out
}
