package hardware

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/metalpool/metalpool/core"
)

// gpus are the accelerators on PCI. A BMC's own display, and a hypervisor's, is none.
func gpus(root string) []core.GPU {
	bus := filepath.Join(root, "sys", "bus", "pci", "devices")
	entries, _ := os.ReadDir(bus)
	var found []core.GPU
	for _, e := range entries {
		dir := filepath.Join(bus, e.Name())
		vendor, device := id(dir, "vendor"), id(dir, "device")
		if isAccelerator(text(dir, "class"), vendor, device) && !exists(dir, "physfn") {
			found = append(found, core.GPU{Model: gpuName(vendor, device)})
		}
	}
	return found
}

// id is a number of four hex digits, without the kernel's 0x.
func id(dir, name string) string { return strings.TrimPrefix(strings.ToLower(text(dir, name)), "0x") }

// isAccelerator reads a PCI class: 3D controllers and processing accelerators are
// meant to compute; a display is one where NVIDIA made it or we know the model, and
// else a chip on the board.
func isAccelerator(class, vendor, device string) bool {
	switch {
	case makers[vendor] == "":
		return false
	case strings.HasPrefix(class, "0x0302"), strings.HasPrefix(class, "0x1200"):
		return true
	case strings.HasPrefix(class, "0x0300"):
		return makers[vendor] == "NVIDIA" || models[vendor+":"+device] != ""
	}
	return false
}

// gpuName falls back on the numbers, by which people can look it up.
func gpuName(vendor, device string) string {
	if model := models[vendor+":"+device]; model != "" {
		return makers[vendor] + " " + model
	}
	return makers[vendor] + " GPU " + vendor + ":" + device
}

// makers of accelerators, by PCI vendor.
var makers = map[string]string{"10de": "NVIDIA", "1002": "AMD", "8086": "Intel", "1da3": "Habana"}

// models are those that people ask for by name, as the PCI ID database has them; all
// of it would be larger than the rest of the agent.
var models = map[string]string{
	"10de:102d": "Tesla K80",
	"10de:13f2": "Tesla M60",
	"10de:15f8": "Tesla P100 PCIe 16GB",
	"10de:15f9": "Tesla P100 SXM2 16GB",
	"10de:1b38": "Tesla P40",
	"10de:1bb3": "Tesla P4",
	"10de:1db1": "Tesla V100 SXM2 16GB",
	"10de:1db4": "Tesla V100 PCIe 16GB",
	"10de:1db5": "Tesla V100 SXM2 32GB",
	"10de:1db6": "Tesla V100 PCIe 32GB",
	"10de:1db8": "Tesla V100 SXM3 32GB",
	"10de:1e30": "Quadro RTX 6000/8000",
	"10de:1eb8": "Tesla T4",
	"10de:20b0": "A100 SXM4 40GB",
	"10de:20b2": "A100 SXM4 80GB",
	"10de:20b5": "A100 PCIe 80GB",
	"10de:20b7": "A30 PCIe",
	"10de:20f1": "A100 PCIe 40GB",
	"10de:20f3": "A800 SXM4 80GB",
	"10de:2230": "RTX A6000",
	"10de:2235": "A40",
	"10de:2236": "A10",
	"10de:2322": "H800 PCIe",
	"10de:2324": "H800",
	"10de:2330": "H100 SXM5 80GB",
	"10de:2331": "H100 PCIe",
	"10de:25b6": "A2 / A16",
	"10de:26b1": "RTX 6000 Ada Generation",
	"10de:26b5": "L40",
	"10de:26b8": "L40G",
	"10de:27b8": "L4",
	"1002:738c": "Instinct MI100",
	"1002:7408": "Instinct MI250X",
	"1002:740c": "Instinct MI250X/MI250",
	"1002:740f": "Instinct MI210",
	"8086:0bd5": "Data Center GPU Max 1550",
	"8086:0bda": "Data Center GPU Max 1100",
	"8086:0bdb": "Data Center GPU Max 1100",
	"8086:56c0": "Data Center GPU Flex 170",
	"8086:56c1": "Data Center GPU Flex 140",
	"1da3:1000": "Gaudi",
	"1da3:1020": "Gaudi2",
}
