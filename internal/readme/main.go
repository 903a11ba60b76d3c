// Command readme is the program at the top of the README.
package main

import (
	"context"
	"log"
	"net/http"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/stdlib"
)

func main() {
	ctl, err := core.New()
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("GET /readyz", stdlib.Ready(ctl))
	srv := &http.Server{Addr: ":8080", ReadHeaderTimeout: time.Minute, IdleTimeout: 75 * time.Second}
	report, err := stdlib.Serve(context.Background(), srv, ctl, stdlib.Signals())
	if err != nil {
		log.Fatal(err)
	}
	log.Println(report)
}
