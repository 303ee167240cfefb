package output

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
	"time"
)

// A Piece is output that came at one time from one stream.
type Piece struct {
	Time   time.Time
	Stream Stream
	Data   []byte
	Lost   int64 // bytes that were dropped here
}

// pieceMax is the size in which long pieces are handed out.
const pieceMax = 256 << 10

// A Reader reads a log from its oldest file on, and again what has come since each time Next has said io.EOF.
type Reader struct {
	dir   string
	files []string // suffixes still to be read, oldest first; the last is the current file
	log   *os.File
	index *os.File
	rec   int64 // offset of the next record in index
	cur   record
	have  bool  // cur is valid
	off   int64 // next byte of log
}

type record struct {
	at     time.Time
	off    int64
	stream Stream
}

// Open returns a reader of the container's log, which may not be there yet.
func Open(dir string) *Reader {
	r := &Reader{dir: dir}
	for i := 1; ; i++ {
		s := "." + strconv.Itoa(i)
		if _, err := os.Lstat(dir + "/log" + s); err != nil {
			break
		}
		r.files = append([]string{s}, r.files...)
	}
	r.files = append(r.files, "")
	return r
}

// OpenAtEnd returns a reader of what will come from now on.
func OpenAtEnd(dir string) (*Reader, error) {
	r := &Reader{dir: dir, files: []string{""}}
	for {
		_, err := r.Next()
		if errors.Is(err, io.EOF) {
			return r, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// Close closes the files.
func (r *Reader) Close() {
	if r.log != nil {
		r.log.Close()
		r.index.Close()
		r.log = nil
	}
}

// Next returns the next piece; io.EOF when there is none for now.
func (r *Reader) Next() (Piece, error) {
	for {
		if err := r.open(); err != nil {
			return Piece{}, err
		}
		p, err := r.next()
		if !errors.Is(err, io.EOF) {
			return p, err
		}
		if !r.advance() {
			return p, io.EOF
		}
	}
}

// advance goes to the next file, if this one was rotated away or is not the last.
func (r *Reader) advance() bool {
	if len(r.files) > 1 {
		r.files = r.files[1:]
	} else {
		a, err1 := r.log.Stat()
		b, err2 := os.Stat(r.dir + "/log")
		if err1 != nil || err2 != nil && !errors.Is(err2, fs.ErrNotExist) || err2 == nil && os.SameFile(a, b) {
			return false
		}
		if err2 != nil && r.off == 0 { // never rotated: removed
			return false
		}
		if p, err := r.pending(); err == nil && p {
			return false
		}
	}
	r.Close()
	r.rec, r.have, r.off = 0, false, 0
	return true
}

// pending tells whether the open file has bytes that were not read.
func (r *Reader) pending() (bool, error) {
	st, err := r.log.Stat()
	if err != nil {
		return false, err
	}
	return st.Size() > r.off, nil
}

func (r *Reader) open() error {
	if r.log != nil {
		return nil
	}
	log, err := os.Open(r.dir + "/log" + r.files[0])
	if errors.Is(err, fs.ErrNotExist) {
		return io.EOF
	}
	if err != nil {
		return err
	}
	index, err := os.Open(r.dir + "/index" + r.files[0])
	if err != nil {
		log.Close()
		if errors.Is(err, fs.ErrNotExist) {
			return io.EOF
		}
		return err
	}
	r.log, r.index = log, index
	return nil
}

// next returns a piece of the open file.
func (r *Reader) next() (Piece, error) {
	for {
		if !r.have {
			rec, err := r.read(r.rec)
			if err != nil {
				return Piece{}, err
			}
			r.cur, r.have, r.rec = rec, true, r.rec+recordSize
		}
		if r.cur.stream == Dropped {
			r.have = false
			return Piece{Time: r.cur.at, Stream: Dropped, Lost: r.cur.off}, nil
		}
		end, last, err := r.end()
		if err != nil {
			return Piece{}, err
		}
		if n := min(end-r.off, pieceMax); n > 0 {
			b := make([]byte, n)
			m, err := r.log.ReadAt(b, r.off)
			if m == 0 {
				return Piece{}, err
			}
			r.off += int64(m)
			return Piece{Time: r.cur.at, Stream: r.cur.stream, Data: b[:m]}, nil
		}
		if last {
			return Piece{}, io.EOF
		}
		r.have = false
	}
}

// end is where the current piece ends: at the next record that has an offset, else at the end of the file.
func (r *Reader) end() (end int64, last bool, err error) {
	for at := r.rec; ; at += recordSize {
		rec, err := r.read(at)
		if errors.Is(err, io.EOF) {
			st, err := r.log.Stat()
			if err != nil {
				return 0, true, err
			}
			// A record may have been written between the two looks, for bytes that are in the size now.
			if rec, err := r.read(at); err == nil && rec.stream != Dropped {
				return rec.off, false, nil
			}
			return st.Size(), true, nil
		}
		if err != nil {
			return 0, false, err
		}
		if rec.stream != Dropped {
			return rec.off, false, nil
		}
	}
}

func (r *Reader) read(at int64) (record, error) {
	var b [recordSize]byte
	if _, err := r.index.ReadAt(b[:], at); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return record{}, io.EOF
		}
		return record{}, err
	}
	return record{
		at:     time.Unix(0, int64(binary.LittleEndian.Uint64(b[:]))),
		off:    int64(binary.LittleEndian.Uint64(b[8:])),
		stream: Stream(binary.LittleEndian.Uint64(b[16:])),
	}, nil
}
