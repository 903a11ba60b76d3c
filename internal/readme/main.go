// Command readme is the program at the top of the README.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/stdlib"
)

func main() {
	ctl, err := core.New(core.OnRoutes("POST /login"))
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/readyz", stdlib.Ready(ctl))
	srv := &http.Server{Addr: ":8080", Handler: stdlib.Middleware(ctl)(http.DefaultServeMux)}
	report, err := stdlib.Serve(context.Background(), srv, ctl, stdlib.Signals())
	fmt.Println(report)
	if err != nil {
		log.Fatal(err)
	}
}
