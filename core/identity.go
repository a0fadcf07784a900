package core

import (
	"net"
	"net/url"
	"strings"
)

// Keys are the texts that tell this server from every other one: no two nodes of
// a store may share a key. They are the UUID and the serial where these mean
// something, else the MACs. The result is empty where nothing identifies.
func (i Identity) Keys() []string {
	var keys []string
	if uuid := meaningfulUUID(i.UUID); uuid != "" {
		keys = append(keys, "uuid "+uuid)
	}
	if serial := meaningfulSerial(i.Serial); serial != "" {
		keys = append(keys, "serial "+serial)
	}
	if len(keys) > 0 {
		return keys
	}
	for _, mac := range i.MACs {
		if mac := meaningfulMAC(mac); mac != "" {
			keys = append(keys, "mac "+mac)
		}
	}
	return keys
}

// junkUUIDs were burnt into whole series of boards by vendors who did not care;
// all zeros, all ones and counting digits are found by junkRun.
var junkUUIDs = map[string]bool{
	"03000200040005000006000700080009": true, // AMI's example, Gigabyte and many others
	"00020003000400050006000700080009": true, // the same in the other byte order
	"12345678123412341234123456789abc": true,
	"12345678123456789012123456789abc": true,
	"00112233445566778899aabbccddeeff": true,
	"ffffffff00000000ffffffff00000000": true,
	"d0c0b0a09080706050403020100f0e0d": true,
	"fefefefefefefefefefefefefefefefe": true,
	"11111111222233334444555555555555": true,
	"4c4c4544000000000000000000000000": true, // Dell without a service tag
	"4c4c4544002020102080202020202020": true, // Dell, service tag of blanks
}

// meaningfulUUID is the UUID as 32 lower-case hex digits, or "" for junk.
func meaningfulUUID(text string) string {
	digits := strings.ToLower(strings.TrimSpace(text))
	digits = strings.NewReplacer("-", "", "{", "", "}", "", "urn:uuid:", "").Replace(digits)
	if len(digits) != 32 || strings.Trim(digits, "0123456789abcdef") != "" {
		return ""
	}
	if junkUUIDs[digits] || oneCharacter(digits) {
		return ""
	}
	return digits
}

// junkSerials are what firmware says when nobody has set a serial, reduced by
// letters to lower case with nothing but letters and digits left.
var junkSerials = map[string]bool{
	"none": true, "null": true, "nil": true, "na": true, "unknown": true, "empty": true, "invalid": true,
	"default": true, "defaultstring": true, "oem": true, "tobefilledbyoem": true, "tobefilled": true, "tbd": true,
	"notspecified": true, "notavailable": true, "notapplicable": true, "notset": true, "notpresent": true, "noasset": true, "unset": true,
	"serial": true, "serialnumber": true, "sn": true, "systemserialnumber": true, "chassisserialnumber": true,
	"baseboardserialnumber": true, "boardserialnumber": true, "productserialnumber": true, "chassisserial": true,
	"filledbyoem": true, "oemserial": true, "oemdefault": true, "undefined": true, "unspecified": true,
	"insydeh2o": true, "qemu": true, "standard": true, "test": true, "error": true,
	"0123456789": true, "123456789": true, "1234567890": true, "012345678": true, "01234567890": true, "12345678": true, "1234567": true, "123456": true, "12345": true, "1234": true,
	"0123456789abcdef": true, "123456789abcdef": true, "abcdefghij": true,
}

// meaningfulSerial is the serial in upper case with single blanks, or "" for junk.
func meaningfulSerial(text string) string {
	serial := strings.ToUpper(strings.Join(strings.Fields(text), " "))
	bare := strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, serial)
	if bare == "" || junkSerials[bare] || oneCharacter(bare) {
		return ""
	}
	return serial
}

// meaningfulMAC is the address with colons in lower case, or "" where it is no
// address of one port: malformed, all zeros, or of a group.
func meaningfulMAC(text string) string {
	mac, err := net.ParseMAC(strings.TrimSpace(text))
	if err != nil || len(mac) != 6 || mac[0]&1 != 0 {
		return ""
	}
	if strings.Trim(mac.String(), "0:") == "" {
		return ""
	}
	return mac.String()
}

func oneCharacter(s string) bool { return strings.Trim(s, s[:1]) == "" }

// Host is the BMC's host and port in one spelling, so that one BMC is not enrolled
// under two addresses. Where URL is not one, it is URL itself.
func (e Endpoint) Host() string {
	u, err := url.Parse(strings.TrimSpace(e.URL))
	if err != nil || u.Hostname() == "" {
		return e.URL
	}
	port := u.Port()
	if port == "" {
		port = "443"
		if strings.EqualFold(u.Scheme, "http") {
			port = "80"
		}
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if ip := net.ParseIP(host); ip != nil {
		host = ip.String()
	}
	return net.JoinHostPort(host, port)
}
