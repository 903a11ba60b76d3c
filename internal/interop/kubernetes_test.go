package interop

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/clienttest"
)

func TestTheKubernetesManifestLeavesTimeForEverything(t *testing.T) {
	manifest := read(t, "kubernetes.yaml")
	arguments := containerArguments(t, manifest)
	seconds := func(name string) time.Duration {
		n, err := strconv.Atoi(field(t, manifest, name))
		if err != nil {
			t.Fatal(err)
		}
		return time.Duration(n) * time.Second
	}
	flag := func(name string) time.Duration {
		for i, argument := range arguments {
			if argument == name {
				d, err := time.ParseDuration(arguments[i+1])
				if err != nil {
					t.Fatal(err)
				}
				return d
			}
		}
		t.Fatalf("the container has no argument %s", name)
		return 0
	}
	if drain, grace := flag("-drain-timeout"), seconds("terminationGracePeriodSeconds"); drain+5*time.Second > grace {
		t.Errorf("a drain of %v ends less than 5s before the kill at %v", drain, grace)
	}
	threshold, err := strconv.Atoi(field(t, manifest, "failureThreshold"))
	if err != nil {
		t.Fatal(err)
	}
	if lameDuck, noticed := flag("-lame-duck"), seconds("periodSeconds")*time.Duration(threshold); lameDuck <= noticed {
		t.Errorf("the lame duck of %v ends before readiness has failed for %v", lameDuck, noticed)
	}
	if all, needed := flag("-drain-timeout"), flag("-lame-duck")+flag("-idle-grace"); all <= needed {
		t.Errorf("-drain-timeout %v leaves nothing after the lame duck and the idle grace, which are %v", all, needed)
	}
}

func TestTheKubernetesManifestStartsAServerThatDrains(t *testing.T) {
	t.Parallel()
	manifest := read(t, "kubernetes.yaml")
	arguments := containerArguments(t, manifest)
	for i, argument := range arguments {
		if argument == "-addr" { // newReplica has one
			arguments = append(arguments[:i], arguments[i+2:]...)
			break
		}
	}
	ready := field(t, manifest, "path")
	pod := newReplica(t, newBook(), false, append([]string{build(t, exampleServer)}, arguments...)...)
	pod.start()

	kept := clienttest.Dial(t, pod.address)
	kept.ExpectKept(kept.Get("/"))
	if status := clienttest.Dial(t, pod.address).Get(ready).Status; status != http.StatusOK {
		t.Errorf("%s: status %d before the drain", ready, status)
	}
	pod.running.terminate()
	clienttest.Eventually(t, "readiness fails while the listener is open", func() bool {
		return clienttest.Dial(t, pod.address).Get(ready).Status == http.StatusServiceUnavailable
	})
	kept.ExpectClosed(kept.Get("/"))
	pod.running.terminate() // does not wait for the rest of the lame duck
	clienttest.Receive(t, "the second SIGTERM ends the server", pod.running.ended)
}

// containerArguments is the list after "args:".
func containerArguments(t *testing.T, manifest string) []string {
	t.Helper()
	var arguments []string
	for argument := range strings.SplitSeq(strings.Trim(field(t, manifest, "args"), "[]"), ",") {
		unquoted, err := strconv.Unquote(strings.TrimSpace(argument))
		if err != nil {
			t.Fatalf("argument %s: %v", argument, err)
		}
		arguments = append(arguments, unquoted)
	}
	return arguments
}

// field is the rest of the line that begins with the name.
func field(t *testing.T, manifest, name string) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^\s*` + name + `: (.*)$`).FindStringSubmatch(manifest)
	if found == nil {
		t.Fatalf("the manifest has no %s", name)
	}
	return found[1]
}
