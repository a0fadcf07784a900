package bmc

import (
	"bytes"
	"compress/gzip"
	"net/http"
)

const registriesPath = "/redfish/v1/Registries"

func (b *BMC) registryPath() string { return registriesPath + "/" + b.manners.BIOS.Registry }

func (b *BMC) registries(*request) (resource, bool) {
	return plain(func() doc {
		var paths []string
		if b.manners.BIOS != nil && b.manners.BIOS.Registry != "" {
			paths = append(paths, b.registryPath())
		}
		return collection(registriesPath, "MessageRegistryFile", "Registry File Collection", paths...)
	}), true
}

// registryFile tells where the attribute registry is.
func (b *BMC) registryFile(r *request) (resource, bool) {
	c := b.manners.BIOS
	if c == nil || c.Registry == "" || r.ids[0] != c.Registry {
		return resource{}, false
	}
	return plain(func() doc {
		return doc{
			"@odata.id": b.registryPath(), "@odata.type": "#MessageRegistryFile.v1_1_3.MessageRegistryFile",
			"Id": c.Registry, "Name": "BIOS Attribute Registry", "Registry": c.Registry, "Languages": []string{"en"},
			"Location": []doc{{"Language": "en", "Uri": c.RegistryAt}},
		}
	}), true
}

// registry is the document itself. It is no resource: nothing but Location leads to it.
func (b *BMC) registry(r *request) (resource, bool) {
	c := b.manners.BIOS
	if c == nil || c.Registry == "" || r.URL.Path != c.RegistryAt {
		return resource{}, false
	}
	return resource{raw: func(r *request) answer {
		a := read(r, b.registryDoc())
		if !c.PackedRegistry || a.status != http.StatusOK {
			return a
		}
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, _ = w.Write(a.body) // to memory
		_ = w.Close()
		a.body = packed.Bytes()
		return a.with("Content-Encoding", "gzip")
	}}, true
}

func (b *BMC) registryDoc() doc {
	c := b.manners.BIOS
	var attributes []doc
	for _, a := range c.Attributes {
		d := doc{
			"AttributeName": a.Name, "DisplayName": a.Label, "Type": a.Kind, "ReadOnly": a.ReadOnly, "DefaultValue": a.Default,
		}
		switch a.Kind {
		case Enumeration:
			var values []doc
			for _, v := range a.Values {
				values = append(values, doc{"ValueName": v, "ValueDisplayName": v})
			}
			d["Value"] = values
		case Integer:
			d["LowerBound"], d["UpperBound"] = a.Low, a.Top
		}
		attributes = append(attributes, d)
	}
	return doc{
		"@odata.type": "#AttributeRegistry.v1_3_0.AttributeRegistry", "Id": c.Registry, "Name": "BIOS Attribute Registry",
		"Language": "en", "OwningEntity": b.manners.Vendor, "RegistryVersion": "1.0.0",
		"RegistryEntries": doc{"Attributes": attributes},
	}
}
