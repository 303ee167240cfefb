package gateway

import (
	"encoding/binary"
	"syscall"
)

// Numbers of linux/netfilter/nf_tables.h.
const (
	transactionBegins = "beginning an nf_tables transaction"

	nftSubsystem = 10 << 8
	nfBatchBegin = 0x10
	nfBatchEnd   = 0x11
	nftNewTable  = nftSubsystem | 0
	nftNewChain  = nftSubsystem | 3
	nftNewRule   = nftSubsystem | 6
	familyInet   = 1 // NFPROTO_INET
	familyIPv4   = 2
	familyIPv6   = 10

	hookPrerouting = 0
	hookOutput     = 3
	priorityMangle = -150

	metaMark    = 3
	metaIif     = 4
	metaNfproto = 15
	metaL4proto = 16
	cmpEqual    = 0
	cmpNotEqual = 1
	verdictDrop = 0
	verdictOK   = 1
	verdictReg  = 0
	reg1        = 1
	reg2        = 2
	fibAddrType = 3
	fibSource   = 1
	fibDest     = 2
	ctMark      = 3
	typeLocal   = 2 // RTN_LOCAL
)

// rules writes an nf_tables transaction: table, chains and rules appear together or not at all.
type rules struct {
	batch
	table, chain string
}

func nfGen(family byte, resource uint16) []byte {
	return []byte{family, 0, byte(resource >> 8), byte(resource)}
}

func newRules(table string) *rules {
	r := &rules{table: table}
	r.start(transactionBegins, nfBatchBegin, 0, nfGen(0, 10))
	r.start("adding table "+table, nftNewTable, syscall.NLM_F_CREATE|syscall.NLM_F_ACK, nfGen(familyInet, 0))
	r.str(1, table).be32(2, 0)
	return r
}

// hook begins a chain at a netfilter hook; later rules go there.
func (r *rules) hook(name string, hook uint32) {
	r.chain = name
	priority := int32(priorityMangle)
	r.start("adding chain "+name, nftNewChain, syscall.NLM_F_CREATE|syscall.NLM_F_ACK, nfGen(familyInet, 0))
	r.str(1, r.table).str(3, name).nest(4, func() { r.be32(1, hook).be32(2, uint32(priority)) }).str(7, "filter")
}

func (r *rules) end() *batch {
	r.start("ending an nf_tables transaction", nfBatchEnd, 0, nfGen(0, 10))
	return &r.batch
}

// expression is a part of a rule: it writes one or more nf_tables expressions.
type expression func(r *rules)

// rule appends one rule; what names it in errors.
func (r *rules) rule(what string, parts ...expression) {
	r.start("adding the rule for "+what, nftNewRule, syscall.NLM_F_CREATE|syscall.NLM_F_APPEND|syscall.NLM_F_ACK, nfGen(familyInet, 0))
	r.str(1, r.table).str(2, r.chain).nest(4, func() {
		for _, p := range parts {
			p(r)
		}
	})
}

func (r *rules) expr(name string, data func()) {
	r.nest(1, func() { r.str(1, name).nest(2, data) })
}

func (r *rules) value(kind uint16, v []byte) { r.nest(kind, func() { r.attr(1, v) }) }

func (r *rules) compare(op uint32, v []byte) {
	r.expr("cmp", func() { r.be32(1, reg1).be32(2, op); r.value(3, v) })
}

func (r *rules) metaIs(key uint32, v []byte) {
	r.expr("meta", func() { r.be32(1, reg1).be32(2, key) })
	r.compare(cmpEqual, v)
}

func native32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

func from(index uint32) expression { return func(r *rules) { r.metaIs(metaIif, native32(index)) } }
func protocol(p byte) expression   { return func(r *rules) { r.metaIs(metaL4proto, []byte{p}) } }
func family(nfproto byte) expression {
	return func(r *rules) { r.metaIs(metaNfproto, []byte{nfproto}) }
}

// syn matches a TCP segment with SYN and without ACK.
func syn(r *rules) {
	r.expr("payload", func() { r.be32(1, reg1).be32(2, 2).be32(3, 13).be32(4, 1) })
	r.expr("bitwise", func() {
		r.be32(1, reg1).be32(2, reg1).be32(3, 1)
		r.value(4, []byte{0x12})
		r.value(5, []byte{0})
	})
	r.compare(cmpEqual, []byte{0x02})
}

// notToUs matches what is not addressed to the gateway itself.
func notToUs(r *rules) {
	r.expr("fib", func() { r.be32(1, reg1).be32(2, fibAddrType).be32(3, fibDest) })
	r.compare(cmpNotEqual, native32(typeLocal))
}

// notFromUs matches what the gateway sends with a foreign source address.
func notFromUs(r *rules) {
	r.expr("fib", func() { r.be32(1, reg1).be32(2, fibAddrType).be32(3, fibSource) })
	r.compare(cmpNotEqual, native32(typeLocal))
}

// anywhere matches everything.
func anywhere(*rules) {}

// transparentSocket matches packets that a transparent socket of the namespace waits for (nft_socket).
func transparentSocket(r *rules) {
	r.expr("socket", func() { r.be32(1, 0).be32(2, reg1) })
	r.compare(cmpEqual, []byte{1})
}

// ourConnection is transparentSocket for kernels without nft_socket: the connection carries our mark (nf_conntrack).
func ourConnection(r *rules) {
	r.expr("ct", func() { r.be32(1, reg1).be32(2, ctMark) })
	r.compare(cmpEqual, native32(Mark))
}

// toListener gives the packet to the socket listening at port on the namespace's loopback.
func toListener(nfproto byte, port uint16) expression {
	return func(r *rules) {
		addr := []byte{127, 0, 0, 1}
		if nfproto == familyIPv6 {
			addr = append(make([]byte, 15), 1)
		}
		r.expr("immediate", func() { r.be32(1, reg1); r.value(2, addr) })
		r.expr("immediate", func() { r.be32(1, reg2); r.value(2, binary.BigEndian.AppendUint16(nil, port)) })
		r.expr("tproxy", func() { r.be32(1, uint32(nfproto)).be32(2, reg1).be32(3, reg2) })
	}
}

func setMark(r *rules) {
	r.expr("immediate", func() { r.be32(1, reg1); r.value(2, native32(Mark)) })
	r.expr("meta", func() { r.be32(2, metaMark).be32(3, reg1) })
}

func setConnectionMark(r *rules) {
	r.expr("immediate", func() { r.be32(1, reg1); r.value(2, native32(Mark)) })
	r.expr("ct", func() { r.be32(2, ctMark).be32(4, reg1) })
}

func accept(r *rules) { r.verdict(verdictOK) }
func drop(r *rules)   { r.verdict(verdictDrop) }

func (r *rules) verdict(code uint32) {
	r.expr("immediate", func() { r.be32(1, verdictReg).nest(2, func() { r.nest(2, func() { r.be32(1, code) }) }) })
}
