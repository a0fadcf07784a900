package redfish_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab/bmc"
)

func TestInspect(t *testing.T) {
	r := newRig(t, must1(t)(bmc.Named("idrac9")))
	b := r.connect(nil)
	must(t, "tag", b.SetTag(t.Context(), "pool-1"))
	got, err := b.Inspect(t.Context())
	must(t, "inspect", err)
	want := core.Inspection{
		Identity: core.Identity{
			UUID: "4c4c4544-0042-4810-8051-b7c04f4d3331", Serial: "SN0042",
			MACs: []string{"b4:96:91:aa:bb:00", "b4:96:91:aa:bb:cc"},
		},
		Hardware: core.Hardware{
			Manufacturer: "Dell Inc.", Model: "PowerEdge R650", Arch: "amd64", CPUs: 128, Memory: 128 * core.GiB, BIOS: "1.2.3",
			Disks: []core.Disk{
				{Serial: "S1", WWN: "0025385b31b0a1c2", Model: "PM9A3", Kind: core.NVMe, Size: 1_920_383_410_176},
				{Serial: "Z1", WWN: "5000c500a1b2c3d4", Model: "Exos 7E8", Kind: core.HDD, Size: 8_001_563_222_016},
			},
			NICs: []core.NIC{
				{MAC: "b4:96:91:aa:bb:cc", Mbps: 25000, LinkUp: true},
				{MAC: "b4:96:91:aa:bb:00", Mbps: 1000},
			},
			GPUs: []core.GPU{{Model: "NVIDIA L40S"}},
		},
		Tag:   "pool-1",
		Power: core.PowerOff,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("inspection:\n%+v\nwant:\n%+v", got, want)
	}
}

func TestInspectARM(t *testing.T) {
	r := newRig(t, nil, func(_ *bmc.Config, m *machine) {
		m.facts.Processors = []bmc.Processor{{Vendor: "Ampere", Model: "Altra", ARM: true, Cores: 80, Threads: 80}}
		m.facts.Drives = []bmc.Drive{{Model: "870 EVO", Serial: "E1", Bytes: 500_107_862_016}}
		m.facts.GPUs = nil
	})
	got, err := r.connect(nil).Inspect(t.Context())
	must(t, "inspect", err)
	if h := got.Hardware; h.Arch != "arm64" || h.CPUs != 80 || len(h.GPUs) != 0 || len(h.Disks) != 1 || h.Disks[0].Kind != core.SSD {
		t.Errorf("hardware is %+v", h)
	}
}

// odd is a service made of documents, for what no simulated BMC shows.
type odd map[string]string

func (o odd) serve(t *testing.T) core.Endpoint {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := o[strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/redfish/v1"), "/")]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		if status, text, ok := strings.Cut(body, " "); ok && len(status) == 3 {
			if code, err := strconv.Atoi(status); err == nil {
				w.WriteHeader(code)
				body = text
			}
		}
		fmt.Fprint(w, body)
	}))
	t.Cleanup(s.Close)
	return core.Endpoint{URL: s.URL, User: user, TLS: core.TLSCheck{Insecure: true}}
}

func members(paths ...string) string {
	var c struct{ Members []map[string]string }
	for _, p := range paths {
		c.Members = append(c.Members, map[string]string{"@odata.id": "/redfish/v1" + p})
	}
	text, _ := json.Marshal(c)
	return string(text)
}

// dgx is a server next to the board of its GPUs, as DGX and GB200 show it, with
// parts that cannot be read.
var dgx = odd{
	"":           `{"Systems":{"@odata.id":"/redfish/v1/Systems"},"Managers":{"@odata.id":"/redfish/v1/Managers"}}`,
	"/Systems":   `{"Members":[{"@odata.id":"/redfish/v1/Systems/HGX_Baseboard_0"}],"Members@odata.nextLink":"/redfish/v1/Systems/2"}`,
	"/Systems/2": members("/Systems/DGX"),
	"/Systems/HGX_Baseboard_0": `{"@odata.id":"/redfish/v1/Systems/HGX_Baseboard_0","Actions":{"#ComputerSystem.Reset":{"target":"/wrong"}},
		"Processors":{"@odata.id":"/redfish/v1/Systems/HGX_Baseboard_0/Processors"}}`,
	"/Systems/HGX_Baseboard_0/Processors":        members("/Systems/HGX_Baseboard_0/Processors/GPU_0", "/Systems/HGX_Baseboard_0/Processors/GPU_1", "/Systems/HGX_Baseboard_0/Processors/FPGA_0"),
	"/Systems/HGX_Baseboard_0/Processors/GPU_0":  `{"ProcessorType":"GPU","Manufacturer":"NVIDIA","Model":"NVIDIA H100"}`,
	"/Systems/HGX_Baseboard_0/Processors/GPU_1":  `{"ProcessorType":"GPU","Manufacturer":"NVIDIA","Model":"H100"}`,
	"/Systems/HGX_Baseboard_0/Processors/FPGA_0": `{"ProcessorType":"FPGA","Model":"x"}`,
	"/Systems/DGX":                      `{"Id":"DGX","SerialNumber":7,"UUID":null,"PowerState":null,"MemorySummary":{"TotalSystemMemoryGiB":"lots"},"ProcessorSummary":null,` + dgxLinks,
	"/Managers":                         members("/Managers/BMC"),
	"/Managers/BMC":                     `{"VirtualMedia":{"@odata.id":"/redfish/v1/Managers/BMC/VirtualMedia"}}`,
	"/Systems/DGX/Processors":           members("/Systems/DGX/Processors/1", "/Systems/DGX/Processors/gone"),
	"/Systems/DGX/Processors/1":         `{"ProcessorType":"CPU","ProcessorArchitecture":"x86","TotalCores":56,"TotalThreads":112}`,
	"/Systems/DGX/Storage":              members("/Systems/DGX/Storage/1", "/Systems/DGX/Storage/2", "/Systems/DGX/Storage/broken"),
	"/Systems/DGX/Storage/broken":       `500 {"error":{"message":"no"}}`,
	"/Systems/DGX/Storage/1":            `{"Drives":[{"@odata.id":"/redfish/v1/Chassis/1/Drives/0"},{"@odata.id":"/redfish/v1/Chassis/1/Drives/1"},{"@odata.id":"/redfish/v1/Chassis/1/Drives/2"}]}`,
	"/Systems/DGX/Storage/2":            `{"Drives":[{"@odata.id":"/redfish/v1/Chassis/1/Drives/0"}]}`,
	"/Chassis/1/Drives/0":               `{"SerialNumber":" A1 ","CapacityBytes":1000000000000,"MediaType":"SSD","Protocol":"SAS"}`,
	"/Chassis/1/Drives/1":               `{"SerialNumber":"A2","CapacityBytes":1000000000000,"Status":{"State":"Absent"}}`,
	"/Chassis/1/Drives/2":               `{"SerialNumber":"U1","CapacityBytes":16000000000,"Protocol":"USB"}`,
	"/Systems/DGX/EthernetInterfaces":   members("/Systems/DGX/EthernetInterfaces/1", "/Systems/DGX/EthernetInterfaces/2", "/Systems/DGX/EthernetInterfaces/3", "/Systems/DGX/EthernetInterfaces/4"),
	"/Systems/DGX/EthernetInterfaces/1": `{"MACAddress":"00:00:00:00:00:00"}`,
	"/Systems/DGX/EthernetInterfaces/2": `{"MACAddress":"B4-96-91-00-00-02","SpeedMbps":null}`,
	"/Systems/DGX/EthernetInterfaces/3": `{"MACAddress":"b4:96:91:00:00:02"}`,
	"/Systems/DGX/EthernetInterfaces/4": `{"MACAddress":"not available"}`,
}

const dgxLinks = `"Processors":{"@odata.id":"/redfish/v1/Systems/DGX/Processors"},"Storage":{"@odata.id":"/redfish/v1/Systems/DGX/Storage"},
	"EthernetInterfaces":{"@odata.id":"/redfish/v1/Systems/DGX/EthernetInterfaces"},
	"Actions":{"#ComputerSystem.Reset":{"target":"/redfish/v1/Systems/DGX/Actions/ComputerSystem.Reset"}}}`

// TestInspectTolerates: the wrong system is passed over, its GPUs count, and what
// cannot be read is unknown, not an error.
func TestInspectTolerates(t *testing.T) {
	b, err := newConnector().Connect(t.Context(), dgx.serve(t), password, nil)
	must(t, "connect", err)
	defer b.Close()
	got, err := b.Inspect(t.Context())
	must(t, "inspect", err)
	want := core.Inspection{
		Identity: core.Identity{MACs: []string{"b4:96:91:00:00:02"}},
		Hardware: core.Hardware{
			Arch: "amd64", CPUs: 112,
			Disks: []core.Disk{
				{Serial: "A1", Kind: core.SSD, Size: 1e12},
				{Serial: "U1", Size: 16e9, Removable: true},
			},
			NICs: []core.NIC{{MAC: "b4:96:91:00:00:02"}},
			GPUs: []core.GPU{{Model: "NVIDIA H100"}, {Model: "NVIDIA H100"}},
		},
		Power: core.PowerUnknown,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("inspection:\n%+v\nwant:\n%+v", got, want)
	}
	if system := b.Links()["system"]; system != "/redfish/v1/Systems/DGX" {
		t.Errorf("the system is %s", system)
	}
	wantKind(t, b.InsertMedia(t.Context(), "http://127.0.0.1/boot.iso"), core.Backend, "no virtual media slot")
}

// TestSystemIsNamed: where a BMC serves several, the URL says which.
func TestSystemIsNamed(t *testing.T) {
	service := odd{
		"":                `{"Systems":{"@odata.id":"/redfish/v1/Systems"}}`,
		"/Systems":        members("/Systems/blade1", "/Systems/blade2"),
		"/Systems/blade1": `{"@odata.id":"/redfish/v1/Systems/blade1","UUID":"one"}`,
		"/Systems/blade2": `{"@odata.id":"/redfish/v1/Systems/blade2","UUID":"two"}`,
	}
	e := service.serve(t)
	_, err := inspect(t, e)
	wantKind(t, err, core.Backend, "2 systems", "name one in the URL: "+e.URL+"/redfish/v1/Systems/blade1")
	e.URL += "/redfish/v1/Systems/blade2"
	got, err := inspect(t, e)
	if err != nil || got.Identity.UUID != "two" {
		t.Errorf("inspection of the second blade: %+v, %v", got, err)
	}
}

// FuzzInspect: whatever a BMC answers, nothing panics, and nothing is taken for a
// server that is none.
func FuzzInspect(f *testing.F) {
	for _, body := range dgx {
		f.Add(body)
	}
	f.Add(`{"Members":null,"Systems":{"@odata.id":"/redfish/v1/"},"Members@odata.nextLink":"/redfish/v1/"}`)
	f.Add(`{"Systems":{"@odata.id":"/redfish/v1/"},"Members":[{"@odata.id":"/redfish/v1/"}],"Drives":[null],"Storage":{"@odata.id":"/redfish/v1/"},
		"Processors":{"@odata.id":"/redfish/v1/"},"PCIeDevices":{"@odata.id":"/redfish/v1/"},"VirtualMedia":{"@odata.id":"/redfish/v1/"},"EthernetInterfaces":{"@odata.id":"/redfish/v1/"}}`)
	f.Fuzz(func(t *testing.T, body string) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }))
		defer s.Close()
		_, err := inspect(t, core.Endpoint{URL: s.URL, User: user, TLS: core.TLSCheck{Insecure: true}})
		if err != nil {
			if k := core.KindOf(err); k != core.Backend && k != core.Transient {
				t.Errorf("error %v is %q", err, k)
			}
		}
	})
}
