package smtpnotify

import (
	"net"
	"net/netip"
	"testing"
)

func TestFullNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"mail.example.com": true, "Mail.Example.com": true, "a-1.example": true,
		"": false, "localhost": false, "vm": false, "my_host.example": false, "a b.example": false, "192.0.2.1": false,
		"host.example.": false, ".example": false, "bücher.example": false,
	} {
		if got := isFullName(name); got != want {
			t.Errorf("%q: got %v, want %v", name, got, want)
		}
	}
}

func TestAddressLiterals(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.1:25":         "[192.0.2.1]",
		"[::ffff:192.0.2.1]:1": "[192.0.2.1]",
		"[2001:db8::1]:25":     "[IPv6:2001:db8::1]",
		"[fe80::1%eth0]:25":    "[IPv6:fe80::1]",
	} {
		if got := addressLiteral(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}
