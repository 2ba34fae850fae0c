package smtpnotify

import (
	"net"
	"net/netip"
	"os"
	"strings"
)

// helloName returns what EHLO says (RFC 5321 section 4.1.1.1): option or, if that
// is empty, the host's full name or, if it knows none, the address literal of its
// end of the connection.
func helloName(option string, local net.Addr) string {
	if option != "" {
		return option
	}
	if name, err := os.Hostname(); err == nil && isFullName(name) {
		return name
	}
	return addressLiteral(local)
}

// isFullName reports whether name is a domain name of two labels or more that is
// no address.
func isFullName(name string) bool {
	ascii, err := domainToASCII(name)
	return err == nil && ascii == strings.ToLower(name) && strings.Contains(name, ".") && net.ParseIP(name) == nil
}

// addressLiteral returns the literal of RFC 5321 section 4.1.3.
func addressLiteral(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return "[127.0.0.1]"
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	if ip.Is4() {
		return "[" + ip.String() + "]"
	}
	return "[IPv6:" + ip.String() + "]"
}

// checkHello returns name as EHLO can say it. It must be a full domain name, which
// becomes ASCII, or an address literal.
func checkHello(name string) (string, bool) {
	if inner, ok := strings.CutPrefix(name, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		six, isSix := strings.CutPrefix(inner, "IPv6:")
		ip, err := netip.ParseAddr(six)
		return name, ok && err == nil && ip.Is6() == isSix && ip.Zone() == ""
	}
	ascii, err := domainToASCII(name)
	return ascii, err == nil && isFullName(ascii)
}
