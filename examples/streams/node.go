package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// nodeScript uses nothing but what Node has built in.
//
//go:embed node.mjs
var nodeScript string

// nodeClients are the clients in one Node process. A nil one has none.
type nodeClients struct {
	command *exec.Cmd
	stdin   io.WriteCloser
	stdout  *json.Decoder
	each    int
	kinds   []string // that this Node has
}

// nodeFlags prints those of the flags behind it that this Node knows: until its
// clients were stable, it had them behind a flag.
const nodeFlags = `console.log(process.argv.slice(1).filter(f => process.allowedNodeEnvironmentFlags.has(f)).join("\n"))`

// startNode starts each clients of every kind that Node has; none where each is 0.
func (t *traffic) startNode(each int) (*nodeClients, error) {
	if each == 0 {
		return nil, nil
	}
	flags, err := exec.CommandContext(t.ctx, "node", "-e", nodeFlags, "--", "--experimental-websocket", "--experimental-eventsource").Output()
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	args := append(strings.Fields(string(flags)), "--no-warnings", "--input-type=module", "-e", nodeScript, "--",
		t.base, strconv.Itoa(each), milliseconds(t.every), milliseconds(patience*3/4), leavingWord)
	n := &nodeClients{command: exec.CommandContext(t.ctx, "node", args...), each: each}
	n.command.Stderr = os.Stderr
	if n.stdin, err = n.command.StdinPipe(); err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	stdout, err := n.command.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	if err := n.command.Start(); err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	n.stdout = json.NewDecoder(stdout)
	if err := n.stdout.Decode(&n.kinds); err != nil {
		n.stdin.Close()
		return nil, fmt.Errorf("node: %w", errors.Join(err, n.command.Wait()))
	}
	t.node = n
	return n, nil
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

func (n *nodeClients) streams() int {
	if n == nil {
		return 0
	}
	return len(n.kinds) * n.each
}

// finish tells the clients which event is the last.
func (n *nodeClients) finish(final int) {
	if n != nil {
		fmt.Fprintln(n.stdin, final) // an error shows as one of wait
	}
}

// wait returns what the clients saw once they have ended.
func (n *nodeClients) wait() (counts []counts, err error) {
	if n == nil {
		return nil, nil
	}
	err = n.stdout.Decode(&counts)
	n.stdin.Close()
	if err := errors.Join(err, n.command.Wait()); err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	return counts, nil
}
