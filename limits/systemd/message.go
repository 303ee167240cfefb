package systemd

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Kinds of messages.
const (
	methodCall = 1
	methodDone = 2
	methodFail = 3
	signal     = 4
)

// Codes of header fields.
const (
	fieldPath        = 1
	fieldInterface   = 2
	fieldMember      = 3
	fieldError       = 4
	fieldReplySerial = 5
	fieldDestination = 6
	fieldSignature   = 8
)

// maxMessage is far above anything a manager answers; the specification allows 128 MiB.
const maxMessage = 1 << 20

// message is what was received. The header on the wire is: byte order, kind, flags, version, length of the body, serial,
// then an array of (code, variant) fields padded to eight bytes, then the body.
type message struct {
	kind    byte
	replyTo uint32
	member  string
	failure string // name of the error
	body    decoder
}

// method is a call to be sent.
type method struct {
	destination, path, iface, member string
	signature                        string
	body                             []byte
}

// encode returns the call as it goes over the wire.
func (m method) encode(serial uint32) []byte {
	e := &encoder{b: []byte{'l', methodCall, 0, 1}}
	e.uint32(uint32(len(m.body)))
	e.uint32(serial)
	e.array(8, func() {
		e.field(fieldPath, "o", m.path)
		e.field(fieldInterface, "s", m.iface)
		e.field(fieldMember, "s", m.member)
		e.field(fieldDestination, "s", m.destination)
		if m.signature != "" {
			e.field(fieldSignature, "g", m.signature)
		}
	})
	e.align(8)
	return append(e.b, m.body...)
}

func (e *encoder) field(code byte, kind, value string) {
	e.align(8)
	e.b = append(e.b, code)
	e.signature(kind)
	if kind == "g" {
		e.signature(value)
	} else {
		e.string(value)
	}
}

// receive reads one message.
func receive(r io.Reader) (message, error) {
	var head [16]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return message{}, fmt.Errorf("reading D-Bus message: %w", err)
	}
	if head[0] != 'l' {
		return message{}, fmt.Errorf("reading D-Bus message: byte order %q", head[0])
	}
	body, fields := binary.LittleEndian.Uint32(head[4:]), binary.LittleEndian.Uint32(head[12:])
	if body > maxMessage || fields > maxMessage {
		return message{}, fmt.Errorf("reading D-Bus message: %d bytes are too many", max(body, fields))
	}
	padded := (fields + 7) &^ 7
	rest := make([]byte, padded+body)
	if _, err := io.ReadFull(r, rest); err != nil {
		return message{}, fmt.Errorf("reading D-Bus message: %w", err)
	}
	m := message{kind: head[1], body: decoder{b: rest[padded:]}}
	return m, m.header(decoder{b: rest[:fields]})
}

// header reads the fields. They begin at offset 16 of the message, so alignment may be counted from their own start.
func (m *message) header(d decoder) error {
	for d.at < len(d.b) && d.err == nil {
		code := d.take(8, 1)[0]
		switch kind := d.signature(); kind {
		case "u":
			if n := d.uint32(); code == fieldReplySerial {
				m.replyTo = n
			}
		case "g":
			d.signature()
		case "s", "o":
			m.text(code, d.string())
		default:
			return fmt.Errorf("reading D-Bus message: field of type %q", kind)
		}
	}
	return d.err
}

func (m *message) text(code byte, value string) {
	switch code {
	case fieldMember:
		m.member = value
	case fieldError:
		m.failure = value
	}
}
