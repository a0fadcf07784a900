// Package wire is what the engine and the agent say to each other: the parameters
// in the boot media, the check-in, the commands and their states, the errors.
package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/metalpool/metalpool/core"
)

// AreaSize is the room for parameters in the boot media, in bytes. It is fixed, so
// that one ISO serves every node and only these bytes of it differ.
const AreaSize = 64 << 10

// AreaMagic starts the parameter area; whoever builds or serves an ISO finds the
// area by it.
const AreaMagic = "METALPOOL-PARAMS"

// ParamsVersion is the version of Params and of all messages here. An agent and an
// engine of different versions do not talk to each other: with whatever one of them would
// not understand, if only a new command, it becomes another one. 2 has run.
const ParamsVersion = 2

// The area is magic, length of the JSON (big endian), SHA-256 of the JSON, JSON,
// and zeros to its end.
const (
	lengthAt = len(AreaMagic)
	sumAt    = lengthAt + 4
	jsonAt   = sumAt + sha256.Size

	maxParams = AreaSize - jsonAt
)

// Params is what an agent is started with.
type Params struct {
	Version int         `json:"version"`
	Boot    string      `json:"boot"` // ID of this start of the ramdisk
	Node    core.NodeID `json:"node"`
	// CheckIn are the URLs to call, https, each leading to the same engine.
	CheckIn []string `json:"check_in"`
	// Token proves to the engine that the agent was started from this media. A secret.
	Token string `json:"token"`
	// Engine is the SHA-256 of the engine's certificate, lower-case hex: who shows it
	// is the one to call, and the only one to be listened to.
	Engine     string        `json:"engine"`
	Generation uint64        `json:"generation"` // calls with a lower one are refused
	Silence    time.Duration `json:"silence"`    // nanoseconds without a call until power off
	// Address is the host:port at which the engine reaches the agent, which listens on
	// that port. Empty: any port, at the address that the check-in comes from.
	Address string `json:"address,omitempty"`
	// Network is what to configure; nil asks DHCP on every port.
	Network *core.Network `json:"network,omitempty"`
}

// BlankArea is the area of media that no node was given.
func BlankArea() []byte {
	area := make([]byte, AreaSize)
	copy(area, AreaMagic)
	return area
}

// EncodeParams makes the area's AreaSize bytes. Params that could not be decoded
// again are Invalid.
func EncodeParams(p Params) ([]byte, error) {
	if err := p.validate(); err != nil {
		return nil, &core.Error{Op: "encode boot parameters", Node: p.Node, Kind: core.Invalid, Err: err}
	}
	text, err := json.Marshal(p)
	if err != nil {
		return nil, &core.Error{Op: "encode boot parameters", Node: p.Node, Kind: core.Invalid, Err: err}
	}
	if len(text) > maxParams {
		return nil, &core.Error{Op: "encode boot parameters", Node: p.Node, Kind: core.Invalid, Err: fmt.Errorf("%d bytes, and the area holds %d", len(text), maxParams)}
	}
	area := BlankArea()
	binary.BigEndian.PutUint32(area[lengthAt:], uint32(len(text)))
	sum := sha256.Sum256(text)
	copy(area[sumAt:], sum[:])
	copy(area[jsonAt:], text)
	return area, nil
}

// DecodeParams reads an area, of which the first AreaSize bytes count. A blank,
// cut or damaged one is Invalid.
func DecodeParams(area []byte) (Params, error) {
	var p Params
	if err := p.decode(area); err != nil {
		return Params{}, &core.Error{Op: "read boot parameters", Kind: core.Invalid, Err: err, Hint: "boot the media that metalpool serves, unchanged"}
	}
	return p, nil
}

func (p *Params) decode(area []byte) error {
	if len(area) < AreaSize {
		return fmt.Errorf("%d bytes of the area's %d", len(area), AreaSize)
	}
	if !bytes.HasPrefix(area, []byte(AreaMagic)) {
		return errors.New("they do not begin as an area does")
	}
	n := binary.BigEndian.Uint32(area[lengthAt:])
	if n == 0 {
		return errors.New("the area is blank: this media was made for no node")
	}
	if n > uint32(maxParams) {
		return fmt.Errorf("a length of %d, and the area holds %d", n, maxParams)
	}
	text := area[jsonAt : jsonAt+int(n)]
	if sum := sha256.Sum256(text); !bytes.Equal(sum[:], area[sumAt:jsonAt]) {
		return errors.New("the checksum is wrong: the media was damaged on its way")
	}
	var version struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(text, &version); err != nil {
		return err
	}
	if version.Version != ParamsVersion {
		return fmt.Errorf("version %d, and this agent knows %d", version.Version, ParamsVersion)
	}
	if err := json.Unmarshal(text, p); err != nil {
		return err
	}
	return p.validate()
}

func (p Params) validate() error {
	if p.Version != ParamsVersion {
		return fmt.Errorf("version %d is not %d", p.Version, ParamsVersion)
	}
	if p.Boot == "" || p.Token == "" {
		return errors.New("no boot ID, or no token")
	}
	if raw, err := hex.DecodeString(p.Engine); err != nil || len(raw) != sha256.Size {
		return errors.New("the engine's fingerprint is not a SHA-256 in hex")
	}
	if p.Silence <= 0 {
		return fmt.Errorf("a silence of %s", p.Silence)
	}
	if len(p.CheckIn) == 0 {
		return errors.New("no URL to check in at")
	}
	for _, text := range p.CheckIn {
		if u, err := url.Parse(text); err != nil || u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("%q is not an https URL to check in at", text)
		}
	}
	if p.Address != "" {
		if err := checkHostPort(p.Address); err != nil {
			return err
		}
	}
	if n := p.Network; n != nil && len(n.Ports) == 0 {
		return errors.New("a network without a port")
	}
	return nil
}
