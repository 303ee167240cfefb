package build

import (
	"fmt"
	"strings"

	"github.com/moss-sandbox/moss/image"
)

// Classic turns a build's events into the text of Docker's classic builder, in the file's order: what comes from a stage
// whose turn it is not yet waits. Give its Event method as Options.Progress.
type Classic struct {
	// Text receives one or more lines or a piece of a command's output, as the "stream" of the API's messages.
	Text func(string)
	// ID receives the image's id, as the API's "aux" message; may be nil.
	ID func(image.Digest)

	stages  []StageRange
	turn    int              // index into stages
	waiting map[int][]string // text of stages whose turn it is not yet
	ended   map[int]bool     // stages that have done their last step
	running map[Step]string
}

// Event takes one event.
func (c *Classic) Event(e Event) {
	switch e := e.(type) {
	case Planned:
		c.stages, c.waiting, c.ended, c.running = e.Stages, map[int][]string{}, map[int]bool{}, map[Step]string{}
	case Started:
		c.started(e.Step)
	case Triggers:
		c.say(e.Step, fmt.Sprintf("# Executing %d build trigger%s\n", e.Count, plural(e.Count)))
	case Running:
		c.running[e.Step] = e.ID
		c.say(e.Step, fmt.Sprintf(" ---> Running in %s\n", e.ID))
	case Printed:
		c.say(e.Step, string(e.Data))
	case Finished:
		c.finished(e)
	case Failed:
		c.flush()
	case Warned:
		if e.Line == 0 {
			c.Text("[Warning] " + e.Message + "\n")
		}
	case Built:
		c.flush()
		if c.ID != nil {
			c.ID(e.ID)
		}
		c.Text(fmt.Sprintf("Successfully built %s\n", e.ID.Short()))
	case Tagged:
		c.Text(fmt.Sprintf("Successfully tagged %s\n", e.Name.Familiar()))
	}
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

func (c *Classic) started(s Step) {
	if s.Sub > 0 {
		return
	}
	text, _, more := strings.Cut(s.Text, "\n")
	if more {
		text += "..."
	}
	c.say(s, fmt.Sprintf("Step %d/%d : %s\n", s.Number, s.Total, text))
}

func (c *Classic) finished(e Finished) {
	if id, ok := c.running[e.Step]; ok {
		c.say(e.Step, fmt.Sprintf(" ---> Removed intermediate container %s\n", id))
	}
	if e.Cached && !strings.HasPrefix(e.Step.Text, "FROM") {
		c.say(e.Step, " ---> Using cache\n")
	}
	c.say(e.Step, fmt.Sprintf(" ---> %s\n", e.ID.Short()))
	c.end(e.Step)
}

// end notes the end of a stage and gives the turn to the next one that has not ended.
func (c *Classic) end(s Step) {
	for _, r := range c.stages {
		if r.Index == s.Stage && r.Last == s.Number {
			c.ended[r.Index] = true
		}
	}
	for c.turn < len(c.stages) && c.ended[c.stages[c.turn].Index] {
		if c.turn++; c.turn < len(c.stages) {
			c.release(c.stages[c.turn].Index)
		}
	}
}

// say prints a text of a step, or keeps it until its stage's turn.
func (c *Classic) say(s Step, text string) {
	for i, r := range c.stages {
		if r.Index == s.Stage && i > c.turn {
			c.waiting[s.Stage] = append(c.waiting[s.Stage], text)
			return
		}
	}
	c.Text(text)
}

func (c *Classic) release(stage int) {
	for _, t := range c.waiting[stage] {
		c.Text(t)
	}
	delete(c.waiting, stage)
}

func (c *Classic) flush() {
	for _, r := range c.stages {
		c.release(r.Index)
	}
}
