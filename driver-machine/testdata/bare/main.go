// Command docker-machine-driver-bare links docker/machine alone and answers from
// config.json. It is what `docker-machine ls` costs without any driver's work.
package main

import (
	"errors"

	"github.com/docker/machine/libmachine/drivers"
	"github.com/docker/machine/libmachine/drivers/plugin"
	"github.com/docker/machine/libmachine/mcnflag"
	"github.com/docker/machine/libmachine/state"
)

type bare struct {
	*drivers.BaseDriver
	URL string
}

var errNotHere = errors.New("this driver only answers")

func (b *bare) DriverName() string                             { return "bare" }
func (b *bare) GetCreateFlags() []mcnflag.Flag                 { return nil }
func (b *bare) SetConfigFromFlags(drivers.DriverOptions) error { return nil }
func (b *bare) GetURL() (string, error)                        { return b.URL, nil }
func (b *bare) GetState() (state.State, error)                 { return state.Running, nil }
func (b *bare) GetSSHHostname() (string, error)                { return b.GetIP() }
func (b *bare) Create() error                                  { return errNotHere }
func (b *bare) Kill() error                                    { return errNotHere }
func (b *bare) Remove() error                                  { return errNotHere }
func (b *bare) Restart() error                                 { return errNotHere }
func (b *bare) Start() error                                   { return errNotHere }
func (b *bare) Stop() error                                    { return errNotHere }

func main() { plugin.RegisterDriver(&bare{BaseDriver: &drivers.BaseDriver{}}) }
