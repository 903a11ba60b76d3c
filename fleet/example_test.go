package fleet_test

import (
	"context"
	"fmt"
	"net/http"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/fleet"
)

// newController returns a Controller that knows its fair share, for as long as ctx
// is not done.
func newController(ctx context.Context, mux *http.ServeMux) (*core.Controller, error) {
	share, err := fleet.NewShare(fleet.DNS("app-fleet", "8080"))
	if err != nil {
		return nil, err
	}
	ctl, err := core.New(core.OnExcess(share.FairShare))
	if err != nil {
		return nil, err
	}
	mux.Handle("GET "+fleet.Path, share.Handler(ctl))
	go share.Run(ctx)
	return ctl, nil
}

func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // a program ends it when Serve has returned
	_, err := newController(ctx, http.NewServeMux())
	fmt.Println(err)
	// Output: <nil>
}
