package probe

import (
	"encoding/binary"
	"fmt"
	"syscall"
)

// The two questions asked here are too small for a netlink library in the program's hot part. Constants: rtnetlink(7),
// linux/if_link.h, linux/netfilter/nfnetlink.h.
const (
	iflaLinkinfo = 18
	iflaInfoKind = 1

	netlinkNetfilter = 12
	nftMsgGetgen     = 10<<8 | 16 // NFNL_SUBSYS_NFTABLES, NFT_MSG_GETGEN
)

var ne = binary.NativeEndian

// addLink makes a network interface of the given kind in this process's network namespace.
func addLink(name, kind string) error {
	body := make([]byte, syscall.SizeofIfInfomsg)
	body = append(body, attribute(syscall.IFLA_IFNAME, append([]byte(name), 0))...)
	body = append(body, attribute(iflaLinkinfo, attribute(iflaInfoKind, []byte(kind)))...)
	return ask(syscall.NETLINK_ROUTE, syscall.RTM_NEWLINK, syscall.NLM_F_CREATE|syscall.NLM_F_EXCL, body)
}

// askNftables asks for the generation of the rules, which a kernel without nf_tables cannot tell.
func askNftables() error {
	return ask(netlinkNetfilter, nftMsgGetgen, 0, []byte{syscall.AF_UNSPEC, 0, 0, 0})
}

// attribute is a struct nlattr with its padded content.
func attribute(kind uint16, content []byte) []byte {
	b := ne.AppendUint16(nil, uint16(4+len(content)))
	b = append(ne.AppendUint16(b, kind), content...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// ask sends one request and returns the errno of the acknowledgement.
func ask(family int, kind, flags uint16, body []byte) error {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, family)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	m := ne.AppendUint32(nil, uint32(syscall.SizeofNlMsghdr+len(body)))
	m = ne.AppendUint16(ne.AppendUint16(m, kind), flags|syscall.NLM_F_REQUEST|syscall.NLM_F_ACK)
	m = append(ne.AppendUint32(ne.AppendUint32(m, 1), 0), body...)
	if err := syscall.Sendto(fd, m, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return err
	}
	return acknowledged(fd)
}

func acknowledged(fd int) error {
	buf := make([]byte, 8192)
	for {
		n, _, err := syscall.Recvfrom(fd, buf, 0)
		if err != nil {
			return err
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return fmt.Errorf("reading a netlink answer: %w", err)
		}
		for _, m := range messages {
			if m.Header.Type != syscall.NLMSG_ERROR || len(m.Data) < 4 {
				continue // the answer itself comes before its acknowledgement
			}
			if e := -int32(ne.Uint32(m.Data)); e != 0 {
				return syscall.Errno(e)
			}
			return nil
		}
	}
}
