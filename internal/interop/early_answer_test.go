package interop

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/servertest"
)

const (
	uploadSize      = 6 << 20
	earlyAnswerSize = 256 << 10
)

// uploaders send a file, and print the status and the size of the answer.
var uploaders = []struct {
	name    string
	command func(t *testing.T, url, file string) *exec.Cmd
}{
	{"curl", func(t *testing.T, url, file string) *exec.Cmd {
		return exec.Command(find(t, "curl"), "--silent", "--data-binary", "@"+file, "--output", "/dev/null", "--write-out", "%{http_code} %{size_download}", url)
	}},
	{"Node http", func(t *testing.T, url, file string) *exec.Cmd {
		return exec.Command(find(t, "node", "nodejs"), "-e", `
			const request = require('http').request(process.argv[1], { method: 'POST' }, (response) => {
				let size = 0
				response.on('data', (chunk) => { size += chunk.length })
				response.on('end', () => { console.log(response.statusCode, size); process.exit() })
			})
			request.on('error', (error) => { console.log(error.code); process.exit() })
			request.end(require('fs').readFileSync(process.argv[2]))`, url, file)
	}},
	{"Node fetch", func(t *testing.T, url, file string) *exec.Cmd {
		return exec.Command(find(t, "node", "nodejs"), "-e", `
			fetch(process.argv[1], { method: 'POST', body: require('fs').readFileSync(process.argv[2]) })
				.then(async (response) => console.log(response.status, (await response.arrayBuffer()).byteLength))
				.catch((error) => console.log(error.cause?.code ?? error))
				.finally(() => process.exit())`, url, file)
	}},
	{"Python requests", func(t *testing.T, url, file string) *exec.Cmd {
		return exec.Command(findPython(t, "requests"), "-c", `
import requests, sys
response = requests.post(sys.argv[1], data=open(sys.argv[2], "rb").read())
print(response.status_code, len(response.content))`, url, file)
	}},
	{"Python aiohttp", func(t *testing.T, url, file string) *exec.Cmd {
		return exec.Command(findPython(t, "aiohttp"), "-c", `
import aiohttp, asyncio, sys
async def main():
    async with aiohttp.ClientSession() as session:
        async with session.post(sys.argv[1], data=open(sys.argv[2], "rb")) as response:
            print(response.status, len(await response.read()))
asyncio.run(main())`, url, file)
	}},
	{"Python httpx", func(t *testing.T, url, file string) *exec.Cmd {
		return exec.Command(findPython(t, "httpx"), "-c", `
import httpx, sys
response = httpx.post(sys.argv[1], content=open(sys.argv[2], "rb").read())
print(response.status_code, len(response.content))`, url, file)
	}},
	{"Node undici", func(t *testing.T, url, file string) *exec.Cmd {
		findModule(t, "undici")
		return exec.Command(find(t, "node", "nodejs"), "-e", `
			require('./testdata/node_modules/undici').request(process.argv[1], { method: 'POST', body: require('fs').readFileSync(process.argv[2]) })
				.then(async ({ statusCode, body }) => console.log(statusCode, (await body.arrayBuffer()).byteLength))
				.catch((error) => console.log(error.code ?? error))
				.finally(() => process.exit())`, url, file)
	}},
	{"Java HttpClient", uploadByJava("HttpClient")},
	{"Java HttpURLConnection", uploadByJava("HttpURLConnection")},
	{"Ruby Net::HTTP", func(t *testing.T, url, file string) *exec.Cmd {
		return exec.Command(find(t, "ruby"), "-rnet/http", "-e", `
			response = Net::HTTP.post(URI(ARGV[0]), File.binread(ARGV[1]))
			puts "#{response.code} #{response.body.size}"`, url, file)
	}},
	{"PHP curl", func(t *testing.T, url, file string) *exec.Cmd {
		return exec.Command(find(t, "php"), "-r", `
			$handle = curl_init($argv[1]);
			curl_setopt_array($handle, [CURLOPT_POSTFIELDS => file_get_contents($argv[2]), CURLOPT_RETURNTRANSFER => true]);
			$answer = curl_exec($handle);
			echo curl_getinfo($handle, CURLINFO_RESPONSE_CODE), " ", strlen((string) $answer), "\n";`, url, file)
	}},
}

func uploadByJava(kind string) func(t *testing.T, url, file string) *exec.Cmd {
	return func(t *testing.T, url, file string) *exec.Cmd {
		return exec.Command(find(t, "java"), "testdata/Upload.java", kind, url, file)
	}
}

// A handler that refuses an upload before it has read it: net/http would close
// with input unread, and the reset takes the answer away. That is run beside it, for
// the log.
func TestAnEarlyAnswerToAnUploadIsReadInFull(t *testing.T) {
	ctl := servertest.NewController(t, core.OnStatus(http.StatusUnauthorized))
	page := bytes.Repeat([]byte("x"), earlyAnswerSize)
	refuse := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		w.Write(page)
	})
	address := servertest.ServeTracked(t, servertest.NewHTTP(refuse), ctl, servertest.Cleartext)
	byHand := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		refuse(w, r)
	}))
	t.Cleanup(byHand.Close)
	want := fmt.Sprint(http.StatusUnauthorized, " ", earlyAnswerSize)
	file := write(t, t.TempDir(), "upload", strings.Repeat("y", uploadSize))
	t.Run("by", func(t *testing.T) {
		for _, uploader := range uploaders {
			t.Run(uploader.name, func(t *testing.T) {
				t.Parallel()
				said, err := uploader.command(t, "http://"+address+"/", file).Output()
				if got := strings.TrimSpace(string(said)); err != nil || got != want {
					t.Errorf("it said %q, want %q: %v", got, want, err)
				}
				said, err = uploader.command(t, byHand.URL+"/", file).Output()
				t.Logf("%s, Connection: close by hand: %q, %v", uploader.name, strings.TrimSpace(string(said)), err)
			})
		}
	})
	if closes := ctl.Stats().Closes[core.ReasonStatus]; closes == 0 {
		t.Error("no connection was closed for the status")
	}
}
