package build

import (
	"time"

	"github.com/moss-sandbox/moss/image"
)

// An Event says what has just happened in a build: one of the types below.
type Event interface{ event() }

// A Step is an instruction in its place.
type Step struct {
	Stage  int    // index in the Dockerfile
	Name   string // of the stage, or "stage-1"
	Number int    // from 1, over the stages that are built, in the file's order
	Total  int
	Text   string // as in the Dockerfile, first word upper case
	Line   int
	Sub    int // from 1 for an ONBUILD trigger of the base image, which shares the number of its FROM
}

// A StageRange is a stage that will be built and the numbers of its steps.
type StageRange struct {
	Index       int
	Name        string
	First, Last int
}

// Stream tells the two outputs of a command apart.
type Stream int

// The streams.
const (
	Stdout Stream = iota + 1
	Stderr
)

type (
	// Planned comes first: how many steps and which stages will be built.
	Planned struct {
		Steps  int
		Stages []StageRange
	}
	// Started is the beginning of a step.
	Started struct{ Step Step }
	// Triggers tells how many ONBUILD triggers a base image has; they come as steps of their own.
	Triggers struct {
		Step  Step
		Count int
	}
	// Running tells that a command is being executed; ID is the name its container has in the classic output.
	Running struct {
		Step Step
		ID   string
	}
	// Printed is a piece of what a command writes.
	Printed struct {
		Step   Step
		Stream Stream
		Data   []byte // the receiver's to keep
	}
	// Finished is the end of a step and the image it led to.
	Finished struct {
		Step    Step
		ID      image.Digest
		Cached  bool
		Elapsed time.Duration
	}
	// Failed is the end of a step without one.
	Failed struct {
		Step Step
		Err  error
	}
	// Warned is something the author should know; Line is 0 when it concerns no line.
	Warned struct {
		Line    int
		Message string
	}
	// Built is the finished image.
	Built struct{ ID image.Digest }
	// Tagged is a name it got.
	Tagged struct {
		ID   image.Digest
		Name image.Ref
	}
)

func (Planned) event()  {}
func (Started) event()  {}
func (Triggers) event() {}
func (Running) event()  {}
func (Printed) event()  {}
func (Finished) event() {}
func (Failed) event()   {}
func (Warned) event()   {}
func (Built) event()    {}
func (Tagged) event()   {}
