package registry

import (
	"sync"
	"time"
)

// Phase is what Docker writes behind a layer's id.
type Phase string

// Phases of a pull, in the order in which one layer goes through them, and of a push.
const (
	PhasePullingFrom  Phase = "Pulling from" // ID is the tag or digest, Detail the repository
	PhasePulling      Phase = "Pulling fs layer"
	PhaseWaiting      Phase = "Waiting"
	PhaseDownloading  Phase = "Downloading"        // Current of Total bytes
	PhaseVerifying    Phase = "Verifying Checksum" // all bytes are here
	PhaseDownloaded   Phase = "Download complete"
	PhaseExtracting   Phase = "Extracting" // Current of Total bytes, told by the sink
	PhasePulled       Phase = "Pull complete"
	PhaseExists       Phase = "Already exists"
	PhaseRetrying     Phase = "Retrying" // Detail says why
	PhaseDigest       Phase = "Digest"   // of one image among several (pull -a): Detail
	PhaseSkipped      Phase = "Skipped"  // of one tag among several: ID, Detail says why
	PhasePreparing    Phase = "Preparing"
	PhasePushing      Phase = "Pushing" // Current of Total bytes
	PhasePushed       Phase = "Pushed"
	PhaseMounted      Phase = "Mounted from" // Detail is the repository
	PhaseAlreadyThere Phase = "Layer already exists"
	PhaseSkippedLayer Phase = "Skipped foreign layer"
	PhasePushedTag    Phase = "digest" // ID is the tag, Detail the digest, Total the manifest's bytes
	progressInterval        = 100 * time.Millisecond
)

// Event is one thing that happened. ID is the first 12 hex digits of the layer's digest (pull) or diff id (push), or a tag.
type Event struct {
	ID             string
	Phase          Phase
	Current, Total int64
	Detail         string
}

// Progress is told what happens, from several goroutines at once. It must not block for long: downloads wait for it.
type Progress interface{ Event(Event) }

// Silent is the Progress of those who do not want to know.
type Silent struct{}

// Event implements Progress.
func (Silent) Event(Event) {}

var _ Progress = Silent{}

// meter passes a stream of byte counts on as events, not more often than the eye can follow.
type meter struct {
	progress Progress
	id       string
	phase    Phase
	total    int64
	mu       sync.Mutex
	last     time.Time
}

// at reports that current bytes are through; the last byte is always reported.
func (m *meter) at(current int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if current < m.total && now.Sub(m.last) < progressInterval {
		return
	}
	m.last = now
	m.progress.Event(Event{ID: m.id, Phase: m.phase, Current: current, Total: m.total})
}
