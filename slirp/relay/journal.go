package relay

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"unsafe"

	"github.com/moss-sandbox/moss/userns/sys"
)

const (
	slotSize  = 128 // a SYN has at most 60 bytes of IP and 60 of TCP header
	slotCount = 1024
)

// journal is shared memory with the SYNs that a switch has read and not answered yet. A holder keeps it, so that a SYN
// does not wait a second for its repetition when the switch is killed meanwhile. One slot: the length (0: free), 4 bytes,
// written last; then the packet.
type journal struct {
	memory []byte
	next   int
}

// NewJournal returns a descriptor of an empty journal, for Config.
func NewJournal() (int, error) { return sys.SharedMemory("moss-syns", slotSize*slotCount) }

func openJournal(fd int) (*journal, error) {
	m, err := syscall.Mmap(fd, 0, slotSize*slotCount, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping the journal of connections: %w", err)
	}
	return &journal{memory: m}, nil
}

func (j *journal) close() { syscall.Munmap(j.memory) } //nolint:errcheck // nothing to be done

func (j *journal) length(slot int) *uint32 {
	return (*uint32)(unsafe.Pointer(&j.memory[slot*slotSize]))
}

// note writes a packet down and returns its slot, -1 when there is no room.
func (j *journal) note(p []byte) int {
	if len(p) > slotSize-4 {
		return -1
	}
	for range 8 { // slots are freed in about the order in which they were taken
		slot := j.next
		j.next = (j.next + 1) % slotCount
		if atomic.LoadUint32(j.length(slot)) == 0 {
			copy(j.memory[slot*slotSize+4:], p)
			atomic.StoreUint32(j.length(slot), uint32(len(p)))
			return slot
		}
	}
	return -1
}

// done frees a slot; -1 is none.
func (j *journal) done(slot int) {
	if slot >= 0 {
		atomic.StoreUint32(j.length(slot), 0)
	}
}

// left takes out what a former switch has left.
func (j *journal) left() (packets [][]byte) {
	for slot := range slotCount {
		if n := atomic.LoadUint32(j.length(slot)); n > 0 && n <= slotSize-4 {
			packets = append(packets, append([]byte(nil), j.memory[slot*slotSize+4:][:n]...))
		}
		j.done(slot)
	}
	return packets
}
