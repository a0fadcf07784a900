// Package wire is what metalpool and its plugins agree on: how they shake hands, and the
// services that they speak. It is a leaf between core/plugin, which plugins are made of,
// and core/plugin/host, which runs them.
package wire

import (
	"context"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

//go:generate go run github.com/bufbuild/buf/cmd/buf@v1.59.0 generate

// Version is that of the protocol, for plugins of all kinds. It grows with changes that
// an older plugin, or an older metalpool, would misunderstand.
const Version = 1

// Handshake is what a plugin finds in its environment: started by anything else it says
// so and ends.
var Handshake = goplugin.HandshakeConfig{ProtocolVersion: Version, MagicCookieKey: "METALPOOL_PLUGIN", MagicCookieValue: "96a4c0cd3c5b41ae"}

// Kind is what a plugin is for. It begins the names of executables: metalpool-KIND-NAME.
type Kind string

// KindStep is a plugin that does steps.
const KindStep Kind = "step"

// Steps is the service of a plugin of KindStep, as go-plugin wants it. A host leaves
// Serves nil.
type Steps struct {
	goplugin.NetRPCUnsupportedPlugin
	Serves StepServer
}

// GRPCServer implements go-plugin's GRPCPlugin.
func (s Steps) GRPCServer(_ *goplugin.GRPCBroker, to *grpc.Server) error {
	RegisterStepServer(to, s.Serves)
	return nil
}

// GRPCClient implements go-plugin's GRPCPlugin.
func (s Steps) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return NewStepClient(conn), nil
}
