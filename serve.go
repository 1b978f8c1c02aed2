package main

import (
	"os"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/nomad/plugins/base"
	"github.com/hashicorp/nomad/plugins/drivers"
	"google.golang.org/grpc"

	"nomad-driver-pot/driver"
	"nomad-driver-pot/pot/native"
	"nomad-driver-pot/version"
)

// serve serves the driver to the agent until the agent ends the plugin. It also returns if the
// agent ends before it has configured the plugin: an agent stores how to reach a plugin once
// that is configured, so no later agent would use or end this one.
//
// It does what drivers.Serve of Nomad's plugins/drivers does, and can stop the server.
func serve() {
	launcher := launcher{stdout: os.Stdout, pid: os.Getppid()} // Serve replaces os.Stdout
	logger := hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, JSONFormat: true})
	d := driver.New(logger, driver.Native{Name: native.Name, Open: native.Open}, version.String())
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: base.Handshake,
		Plugins: map[string]goplugin.Plugin{
			base.PluginTypeBase:   &base.PluginBase{Impl: d},
			base.PluginTypeDriver: drivers.NewDriverPlugin(d, logger),
		},
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			s := goplugin.DefaultGRPCServer(options)
			go func() {
				if launcher.goneBefore(d.Configured()) {
					s.Stop() // Serve returns, and removes its socket
				}
			}()
			return s
		},
		Logger: logger,
	})
}
