package driver

import (
	"encoding/json"
	"os"
	"strconv"

	"github.com/docker/machine/libmachine/drivers"
)

// UnmarshalJSON reads config.json and lays over it what is never stored or may
// have changed since: commands after create pass no flags, and `rm --update-config`
// of Rancher does not call SetConfigFromFlags either. The URL is not among it: the
// machine is in the pool where it was created, whichever one is usual by now.
func (d *Driver) UnmarshalJSON(data []byte) error {
	type plain Driver // without this method
	if d.BaseDriver == nil {
		d.BaseDriver = &drivers.BaseDriver{}
	}
	if err := json.Unmarshal(data, (*plain)(d)); err != nil {
		return err
	}
	d.Token = os.Getenv(tokenVariable)
	if wait, err := strconv.ParseBool(os.Getenv(waitCleanVariable)); err == nil {
		d.WaitClean = wait
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.service != nil {
		_ = d.service.Close() // it was opened by another URL or token
		d.service = nil
	}
	d.seen = nil
	return nil
}
