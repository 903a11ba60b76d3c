package header

import (
	"maps"
	"net/http"
	"slices"
	"testing"
)

func TestWhatAnAnnouncementChangesCanBeTakenBack(t *testing.T) {
	for _, left := range []http.Header{
		{},
		{"Connection": {"keep-alive"}},
		{"Connection": {"close", "X"}, "Keep-Alive": {"timeout=5"}},
		{"connection": {"Close"}, "keep-alive": {"timeout=5"}, "Content-Type": {"text/plain"}},
	} {
		h := left.Clone()
		o := SetClose(h)
		if got := h["Connection"]; len(got) != 1 || got[0] != "close" || h["connection"] != nil || h["Keep-Alive"] != nil || h["keep-alive"] != nil {
			t.Errorf("%v became %v", left, h)
		}
		if !o.Changed() {
			t.Errorf("%v: nothing to take back", left)
		}
		if o.TakeBack(); !maps.EqualFunc(h, left, slices.Equal) {
			t.Errorf("%v was taken back to %v", left, h)
		}
	}
}

func TestA1xxHasNoWordAboutTheConnectionAndTheHandlersMapHasItAgain(t *testing.T) {
	h := http.Header{"Connection": {"close"}, "connection": {"close"}, "Link": {"</style.css>"}}
	left := h.Clone()
	WithoutConnection(h, func() {
		if len(h) != 1 || h["Link"] == nil {
			t.Errorf("the 1xx has %v", h)
		}
	})
	if !maps.EqualFunc(h, left, slices.Equal) {
		t.Errorf("%v has become %v", left, h)
	}
}

func TestAKeepAliveFieldOfAHandlerStays(t *testing.T) {
	h := http.Header{"Keep-Alive": {"timeout=1"}}
	if o := Advertise(h, []string{"timeout=5"}); o.Changed() || h.Get("Keep-Alive") != "timeout=1" {
		t.Errorf("it became %v", h)
	}
	h = http.Header{}
	o := Advertise(h, []string{"timeout=5"})
	if h.Get("Keep-Alive") != "timeout=5" {
		t.Errorf("not advertised: %v", h)
	}
	if o.TakeBack(); len(h) != 0 {
		t.Errorf("left behind: %v", h)
	}
}

func TestCloseIsOneOfAListWhateverItsCase(t *testing.T) {
	for value, want := range map[string]bool{
		"close": true, "Close": true, "keep-alive, close": true, " CLOSE\t,x": true, "": false, "closed": false, "x-close": false, ",,": false,
	} {
		if got := WantsClose([]string{"keep-alive", value}); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}

func TestA1xxGoesOutWithoutConnection(t *testing.T) {
	h := http.Header{"Connection": {"close"}, "Link": {"x"}}
	WithoutConnection(h, func() {
		if h["Connection"] != nil || h["Link"] == nil {
			t.Errorf("sent %v", h)
		}
	})
	if h.Get("Connection") != "close" {
		t.Errorf("afterwards %v", h)
	}
}
