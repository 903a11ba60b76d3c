package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience bounds what a browser does on a machine with much else to do.
const patience = time.Minute

// tab is a page in a browser of the test's own.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string // of the console, and of scripts
	foreign    []string // requests to anywhere but the server
}

// look is how people see a page.
type look struct {
	name          string
	width, height int64
	dark          bool
}

var looks = []look{
	{"wide-light", 1280, 900, false},
	{"wide-dark", 1280, 900, true},
	{"narrow-light", 360, 740, false},
	{"narrow-dark", 360, 740, true},
}

// open starts a browser and opens address in it.
func open(t *testing.T, address string, options ...chromedp.ExecAllocatorOption) *tab {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed; Debian has it in the package of that name")
	}
	flags := append([]chromedp.ExecAllocatorOption{
		chromedp.ExecPath(program),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.WSURLReadTimeout(patience),
	}, options...)
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), flags...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.hear(address)); err != nil {
		t.Fatal(err)
	}
	command(b, log.Enable, cdp.Empty{})
	command(b, network.Enable, network.EnableParams{})
	b.do(chromedp.Navigate(address))
	return b
}

// show fails the test if the page does not fit one of the looks, and writes a
// screenshot of each into the folder that POLITECLOSE_SCREENSHOTS names, if it
// does.
func (b *tab) show(name string) {
	b.t.Helper()
	for _, l := range looks {
		scheme := map[bool]string{false: "light", true: "dark"}[l.dark]
		command(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		b.do(chromedp.EmulateViewport(l.width, l.height))
		if wider := ask[int](b, "document.documentElement.scrollWidth - innerWidth"); wider > 0 {
			b.t.Errorf("%s: the page is %d pixels too wide", l.name, wider)
		}
		if ground := ask[string](b, "getComputedStyle(document.body).backgroundColor"); (ground == "rgb(255, 255, 255)") == l.dark {
			b.t.Errorf("%s: the background is %s", l.name, ground)
		}
		if folder := os.Getenv("POLITECLOSE_SCREENSHOTS"); folder != "" {
			picture := run(b, chromedp.FullScreenshot(100))
			if err := os.WriteFile(filepath.Join(folder, name+"-"+l.name+".png"), picture, 0o644); err != nil {
				b.t.Fatal(err)
			}
		}
	}
}

// hear notes what must not happen.
func (b *tab) hear(address string) func(any) {
	return func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventConsoleAPICalled: // the page has nothing to say
			b.complaints = append(b.complaints, fmt.Sprint(e.Type, " ", e.Args))
		case *runtime.EventExceptionThrown:
			b.complaints = append(b.complaints, fmt.Sprint(e.ExceptionDetails))
		case *log.EventEntryAdded:
			b.complaints = append(b.complaints, e.Entry.Text)
		case *network.EventRequestWillBeSent:
			if !strings.HasPrefix(e.Request.URL, address) && !strings.HasPrefix(e.Request.URL, "data:") {
				b.foreign = append(b.foreign, e.Request.URL)
			}
		}
	}
}

// within bounds an action.
func (b *tab) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(b.ctx, patience)
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := b.within()
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

func command[P, R any](b *tab, command cdp.Command[P, R], parameters P) {
	b.t.Helper()
	ctx, cancel := b.within()
	defer cancel()
	if _, err := chromedp.Call(ctx, command, parameters); err != nil {
		b.t.Fatal(err)
	}
}

// run returns what an action returns.
func run[T any](b *tab, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := b.within()
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		b.t.Fatal(err)
	}
	return value
}

// ask evaluates an expression of JavaScript, which may be evaluated again: a page
// that is replaced by the next one in the meantime, as the page without JavaScript
// replaces itself, takes the answer with it.
func ask[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := b.within()
	defer cancel()
	for {
		value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
		if err == nil {
			return value
		}
		if !pageWasReplaced(err) || ctx.Err() != nil {
			b.t.Fatal(err)
		}
	}
}

// pageWasReplaced says whether an expression had no answer because its page went
// away. The text has to tell: DevTools has one code for whatever it can't do.
func pageWasReplaced(err error) bool {
	var refused *cdproto.Error
	if !errors.As(err, &refused) || refused.Code != -32000 {
		return false
	}
	return slices.Contains([]string{
		"Inspected target navigated or closed", "Execution context was destroyed.", "Cannot find default execution context",
	}, refused.Message)
}

// submit clicks a button that sends its form, and waits for the page that answers.
func (b *tab) submit(button string) {
	b.t.Helper()
	ctx, cancel := b.within()
	defer cancel()
	// The click comes after the answer to the evaluation, which its page could take
	// with it.
	click := chromedp.Evaluate[chromedp.Void](fmt.Sprintf("void setTimeout(() => document.querySelector(%q).click())", button))
	if _, err := chromedp.RunResponse(ctx, click); err != nil {
		b.t.Fatal(err)
	}
}

// text returns what is to be read in the first element that a selector selects, ""
// where there is none.
func (b *tab) text(selector string) string {
	b.t.Helper()
	return ask[string](b, fmt.Sprintf("(document.querySelector(%q)?.innerText ?? '').trim()", selector))
}

// texts returns what is to be read in all of them.
func (b *tab) texts(selector string) []string {
	b.t.Helper()
	return ask[[]string](b, fmt.Sprintf("[...document.querySelectorAll(%q)].map((e) => e.innerText.trim())", selector))
}

func (b *tab) count(selector string) int {
	b.t.Helper()
	return ask[int](b, fmt.Sprintf("document.querySelectorAll(%q).length", selector))
}

// eventually waits until holds, by the page's own updates.
func (b *tab) eventually(what string, holds func() bool) {
	b.t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("still not: %s; the page is\n%s", what, b.text("body"))
		}
	}
}

// forgive forgets what the browser has complained of, if it has.
func (b *tab) forgive() (something bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	something = len(b.complaints) > 0
	b.complaints = nil
	return something
}

// expectClean fails the test if the browser has complained or has been sent
// elsewhere.
func (b *tab) expectClean() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.complaints) > 0 {
		b.t.Errorf("the console says %q", b.complaints)
	}
	if len(b.foreign) > 0 {
		b.t.Errorf("it was asked for %q", b.foreign)
	}
}

// row returns the cells of the row of a table that begins with a text.
func (b *tab) row(table, first string) []string {
	b.t.Helper()
	rows := ask[[][]string](b, fmt.Sprintf(
		"[...document.querySelectorAll(%q)].map((r) => [...r.cells].map((c) => c.innerText.trim()))", table+" tbody tr"))
	i := slices.IndexFunc(rows, func(row []string) bool { return len(row) > 0 && row[0] == first })
	if i < 0 {
		b.t.Fatalf("%s has no row %q: %q", table, first, rows)
	}
	return rows[i]
}
