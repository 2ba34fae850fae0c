package smtpnotify

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/textproto"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/wneessen/go-mail/smtp"
)

var (
	// errChallenge means that a mechanism was given up here.
	errChallenge = errors.New("the server's challenge does not suit the mechanism")
	// errProof means that the server does not know the password. It gets it by no
	// other mechanism.
	errProof = errors.New("the server did not prove that it knows the password")
	// errIterations means that to answer would take for ever, or would make the
	// password easy to guess. The server gets it by no other mechanism.
	errIterations = fmt.Errorf("the server asks for fewer than %d or more than %d iterations", minIterations, maxIterations)
)

// What SCRAM may ask for: the least that RFC 7677 section 4 allows, and what takes
// about a second, as nothing can interrupt it.
const minIterations, maxIterations = 4096, 1_000_000

// authenticate tries the mechanisms that the server offers until one is accepted.
func (n *Notifier) authenticate(ctx context.Context, s *session) error {
	if n.login == nil {
		return nil
	}
	offered := strings.Fields(strings.ToUpper(s.extensions["AUTH"]))
	info := &smtp.ServerInfo{Name: n.host, TLS: s.secured, Auth: offered}

	var refusal error // the last one
	for _, m := range n.mechanisms() {
		if !slices.Contains(offered, m.name) {
			continue
		}
		err := s.auth(m.Auth, info)
		if err == nil {
			return nil
		}
		if refused := replyCode(err) != 0 || errors.Is(err, errChallenge); !refused {
			refusal = cmp.Or(refusal, err) // a server may hang up after a refusal
			break
		}
		refusal = err
	}

	switch {
	case refusal == nil:
		return &Error{Step: stepAuth, detail: "the server offers none of SCRAM-SHA-256, PLAIN and LOGIN"}
	case errors.Is(refusal, errChallenge), errors.Is(refusal, errProof), errors.Is(refusal, errIterations):
		return &Error{Step: stepAuth, detail: refusal.Error()}
	}
	return stepError(ctx, stepAuth, refusal, true)
}

// mechanism is a way to authenticate, under the name that servers offer it by.
type mechanism struct {
	name string
	smtp.Auth
}

// mechanisms returns what can be tried, the best first: SCRAM does not send the
// password.
func (n *Notifier) mechanisms() []mechanism {
	name, secret := n.login.user, n.login.password.Reveal()
	return []mechanism{
		{"SCRAM-SHA-256", &scram{Auth: smtp.ScramSHA256Auth(name, secret)}},
		{"PLAIN", smtp.PlainAuth("", name, secret, n.host, n.plain)},
		{"LOGIN", smtp.LoginAuth(name, secret, n.host, n.plain)},
	}
}

// scram is SCRAM (RFC 5802) with a server that may be hostile: it does no more work
// than is sound, and is over only when the server has proved itself.
type scram struct {
	smtp.Auth
	asked, proved bool
}

var iterations = regexp.MustCompile(`^r=[^,]*,s=[^,]*,i=([0-9]{1,7})(,|$)`)

// Next answers a challenge.
func (a *scram) Next(challenge []byte, more bool) ([]byte, error) {
	isProof := bytes.HasPrefix(challenge, []byte("v="))
	switch {
	case len(challenge) == 0:
	case isProof:
		if !a.asked {
			return nil, errProof
		}
	case a.asked:
		return nil, errChallenge
	default:
		i := iterations.FindSubmatch(challenge)
		if i == nil {
			return nil, errIterations
		}
		if n, _ := strconv.Atoi(string(i[1])); n < minIterations || n > maxIterations {
			return nil, errIterations
		}
		a.asked = true
	}

	answer, err := a.Auth.Next(challenge, more)
	if isProof {
		if a.proved = err == nil; !a.proved {
			return nil, errProof
		}
	}
	return answer, err
}

// auth authenticates by one mechanism (RFC 4954 section 4). After a refusal the
// session can be used for another one.
func (s *session) auth(a smtp.Auth, info *smtp.ServerInfo) error {
	name, first, err := a.Start(info)
	if err != nil {
		return errChallenge
	}
	line := "AUTH " + name
	if len(first) > 0 {
		line += " " + base64.StdEncoding.EncodeToString(first)
	}

	for {
		code, text, err := s.command(0, "%s", line)
		switch {
		case err != nil:
			return err
		case code == 235:
			if a, ok := a.(*scram); ok && !a.proved {
				return errProof
			}
			return nil
		case code != 334:
			return &textproto.Error{Code: code, Msg: text}
		}
		challenge, err := base64.StdEncoding.DecodeString(text)
		var answer []byte
		if err == nil {
			answer, err = a.Next(challenge, true)
		}
		if err != nil {
			if _, _, lost := s.command(0, "*"); lost != nil {
				return lost
			}
			if errors.Is(err, errProof) || errors.Is(err, errIterations) {
				return err
			}
			return errChallenge
		}
		line = base64.StdEncoding.EncodeToString(answer)
	}
}
