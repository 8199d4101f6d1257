// Command kaname is a layer-4 load balancer and failover daemon; everything
// it does is in package cli.
package main

import (
	"context"
	"os"

	"github.com/kaname-lb/kaname/internal/cli"
)

func main() {
	os.Exit(cli.Main(context.Background(), cli.OSEnv(), os.Args))
}
