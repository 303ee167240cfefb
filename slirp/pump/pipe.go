package pump

import (
	"sync"
	"syscall"

	"github.com/moss-sandbox/moss/userns/sys"
)

const (
	pipeSize  = 1 << 20
	maxSpare  = 8        // pipes kept for reuse
	smallPipe = 64 << 10 // below this splice is slower than read and write
)

type pipe struct{ r, w, size int }

// Pipes is a stock of pipes shared by the pumps of several loops. It is bounded, since past fs.pipe-user-pages-soft
// (64 MiB for each user, pipe(7)) every further pipe of the user has a single page.
type Pipes struct {
	mu    sync.Mutex
	spare []*pipe
}

// get returns an empty pipe, nil when there is none worth having.
func (s *Pipes) get() *pipe {
	s.mu.Lock()
	if n := len(s.spare); n > 0 {
		p := s.spare[n-1]
		s.spare = s.spare[:n-1]
		s.mu.Unlock()
		return p
	}
	s.mu.Unlock()
	r, w, size, err := sys.PipeOf(pipeSize)
	if err != nil {
		return nil
	}
	p := &pipe{r, w, size}
	if size < smallPipe {
		p.close()
		return nil
	}
	return p
}

// put takes back an empty pipe.
func (s *Pipes) put(p *pipe) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.spare) < maxSpare {
		s.spare = append(s.spare, p)
		return
	}
	p.close()
}

func (p *pipe) close() {
	syscall.Close(p.r)
	syscall.Close(p.w)
}
