package overload

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// startHAProxy balances the connections of l, which it takes over, in HAProxy's
// tcp mode. It inherits the listening socket, so no port has to be free.
func startHAProxy(cfg Config, l *net.TCPListener, backends []string) (stop func() error, err error) {
	defer l.Close()
	socket, err := l.File()
	if err != nil {
		return nil, fmt.Errorf("overload: %w", err)
	}
	defer socket.Close()
	folder, err := os.MkdirTemp("", "overload")
	if err != nil {
		return nil, fmt.Errorf("overload: %w", err)
	}
	file := filepath.Join(folder, "haproxy.cfg")
	if err := os.WriteFile(file, []byte(haproxyConfig(cfg, backends)), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("overload: %w", err), os.RemoveAll(folder))
	}
	var complaint strings.Builder
	// -db keeps it in the foreground and a single process.
	command := exec.Command(cfg.HAProxy, "-db", "-f", file)
	command.ExtraFiles = []*os.File{socket} // descriptor 3
	command.Stderr = &complaint
	if err := command.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("overload: %w", err), os.RemoveAll(folder))
	}
	return func() error {
		command.Process.Kill()
		// Killed is how it is to end; any other end came by itself.
		if err := command.Wait(); command.ProcessState.Exited() {
			return errors.Join(fmt.Errorf("overload: %s: %w: %s", cfg.HAProxy, err, complaint.String()), os.RemoveAll(folder))
		}
		return os.RemoveAll(folder)
	}, nil
}

func haproxyConfig(cfg Config, backends []string) string {
	algorithm := "roundrobin"
	if cfg.Balancing == LeastConnections {
		algorithm = "leastconn"
	}
	// Two threads may choose the same server as that with the fewest connections.
	config := fmt.Sprintf(`global
    maxconn %d
    nbthread 1
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen replicas
    bind fd@3
    balance %s
`, 2*cfg.Clients+100, algorithm)
	for i, address := range backends {
		config += fmt.Sprintf("    server replica%d %s\n", i, address)
	}
	return config
}
