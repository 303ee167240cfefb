package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"strings"
)

// helper is a credential helper by its short name: docker-credential-NAME. Its protocol (docker/docker-credential-helpers) is one
// program run per question: the question on standard input, the answer or the error's text on standard output.
type helper string

// tokenUser is the user name under which helpers keep identity tokens.
const tokenUser = "<token>"

// maxHelperAnswer bounds what a helper may print.
const maxHelperAnswer = 1 << 20

type helperEntry struct {
	ServerURL string
	Username  string
	Secret    string
}

func (h helper) get(ctx context.Context, server string) (Login, error) {
	out, missing, err := h.run(ctx, "get", []byte(server))
	if err != nil || missing {
		return Login{}, err
	}
	var e helperEntry
	if err := json.Unmarshal(out, &e); err != nil {
		return Login{}, h.fail("answers something else than JSON")
	}
	if e.Username == tokenUser {
		return Login{Username: e.Username, IdentityToken: e.Secret}, nil
	}
	return Login{Username: e.Username, Password: e.Secret}, nil
}

func (h helper) store(ctx context.Context, server string, l Login) error {
	e := helperEntry{ServerURL: server, Username: l.Username, Secret: l.Password}
	if l.IdentityToken != "" {
		e.Username, e.Secret = tokenUser, l.IdentityToken
	}
	_, _, err := h.run(ctx, "store", encode(e))
	return err
}

func (h helper) erase(ctx context.Context, server string) (had bool, err error) {
	_, missing, err := h.run(ctx, "erase", []byte(server))
	return err == nil && !missing, err
}

// run asks the helper. missing is its way of saying that it has no such login.
func (h helper) run(ctx context.Context, action string, input []byte) (out []byte, missing bool, err error) {
	if strings.ContainsAny(string(h), "/\x00") {
		return nil, false, h.fail("has a name that is a path")
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "docker-credential-"+string(h), action)
	cmd.Stdin = bytes.NewReader(input)
	cmd.Stdout = &stdout
	cmd.Stderr = &stderr
	err = cmd.Run()
	if stdout.Len() > maxHelperAnswer {
		return nil, false, h.fail("answers more than a megabyte")
	}
	text := strings.TrimSpace(stdout.String())
	if err == nil {
		return stdout.Bytes(), false, nil
	}
	if strings.Contains(text, "credentials not found") {
		return nil, true, nil
	}
	if text == "" {
		text = strings.TrimSpace(stderr.String())
	}
	if text == "" {
		text = err.Error()
	}
	return nil, false, h.fail("%s: %s", action, foreign(text))
}

func (h helper) fail(format string, args ...any) error {
	e := fail(ErrCredentials, "credential helper docker-credential-"+string(h)+": "+format, args...)
	return e.hint("it is named in Docker's config.json (credsStore, credHelpers); install it or remove the key")
}
