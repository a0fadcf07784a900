package handover

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxtpm"
)

// Bits of a TPM's permanent attributes.
const (
	ownerAuthSet       = 1 << 0
	endorsementAuthSet = 1 << 1
	lockoutAuthSet     = 1 << 2
	disableClear       = 1 << 8
	inLockout          = 1 << 9

	owned = ownerAuthSet | endorsementAuthSet | lockoutAuthSet
)

// resetTPM clears the TPM, or asks the firmware to do so at the next start.
func (s *System) resetTPM() (line string, err error) {
	if _, err := os.Stat(s.path("sys/class/tpm/tpm0")); errors.Is(err, fs.ErrNotExist) {
		return "there is no TPM", nil
	}
	state, known, why := s.clearTPM()
	if why == nil {
		return "the TPM is cleared", nil
	}
	if err := s.requestClear(); err == nil {
		return fmt.Sprintf("the TPM cannot be cleared from here (%v): the firmware is asked to clear it at the next start, and may ask for somebody at the console", why), nil
	} else if !known {
		return fmt.Sprintf("the TPM cannot be cleared (%v; %v), and whether somebody owns it is not known", why, err), nil
	} else if state&owned == 0 {
		return fmt.Sprintf("the TPM cannot be cleared (%v; %v); nobody owns it", why, err), nil
	}
	return "", fmt.Errorf("an owner has locked the TPM, and it cannot be cleared: %w", why)
}

// clearTPM also returns the attributes as they are afterwards, where they are known.
func (s *System) clearTPM() (state uint32, known bool, err error) {
	open := s.tpm
	if open == nil {
		open = func() (transport.TPMCloser, error) { return linuxtpm.Open(s.path("dev/tpmrm0")) }
	}
	if version, err := os.ReadFile(s.path("sys/class/tpm/tpm0/tpm_version_major")); err == nil && strings.TrimSpace(string(version)) == "1" {
		state, known = s.oldOwner()
		return state, known, errors.New("it is a TPM 1.2, which takes its owner's word only")
	}
	t, err := open()
	if err != nil {
		return 0, false, err
	}
	defer func() { _ = t.Close() }()
	before, err := permanent(t)
	if err != nil {
		return 0, false, err
	}
	// A wrong password would lock it for longer: it is tried only where none is set.
	if err = refusal(before); err == nil {
		err = clearAs(t, tpm2.TPMRHLockout)
	}
	if err != nil && clearAs(t, tpm2.TPMRHPlatform) != nil { // some firmware leaves its own way open
		return before, true, err
	}
	after, err := permanent(t)
	if err != nil {
		return before, true, err // nothing says that it was cleared
	}
	if after&owned != 0 {
		err = errors.New("it says that it is cleared, and an owner's password is still set")
	}
	return after, true, err
}

// oldOwner is whether a TPM 1.2 has an owner, as the kernel tells.
func (s *System) oldOwner() (state uint32, known bool) {
	for _, file := range []string{"sys/class/tpm/tpm0/owned", "sys/class/tpm/tpm0/device/owned"} {
		switch text, err := os.ReadFile(s.path(file)); {
		case err != nil:
		case strings.TrimSpace(string(text)) == "1":
			return ownerAuthSet, true
		case strings.TrimSpace(string(text)) == "0":
			return 0, true
		}
	}
	return 0, false
}

// refusal says what is known of why a TPM will not be cleared.
func refusal(attributes uint32) error {
	switch {
	case attributes&disableClear != 0:
		return errors.New("clearing is disabled")
	case attributes&inLockout != 0:
		return errors.New("it is locked after wrong passwords")
	case attributes&lockoutAuthSet != 0:
		return errors.New("an owner has set the password for it")
	}
	return nil
}

func clearAs(t transport.TPM, hierarchy tpm2.TPMHandle) error {
	_, err := tpm2.Clear{AuthHandle: tpm2.AuthHandle{Handle: hierarchy, Auth: tpm2.PasswordAuth(nil)}}.Execute(t)
	return err
}

func permanent(t transport.TPM) (uint32, error) {
	answer, err := tpm2.GetCapability{
		Capability: tpm2.TPMCapTPMProperties, Property: uint32(tpm2.TPMPTPermanent), PropertyCount: 1,
	}.Execute(t)
	if err != nil {
		return 0, err
	}
	properties, err := answer.CapabilityData.Data.TPMProperties()
	if err != nil {
		return 0, err
	}
	if len(properties.TPMProperty) != 1 || properties.TPMProperty[0].Property != tpm2.TPMPTPermanent {
		return 0, errors.New("it does not tell its attributes")
	}
	return properties.TPMProperty[0].Value, nil
}

// clearOperation is TPM clear of the physical presence interface.
const clearOperation = "5"

// requestClear leaves the firmware a request, and reads it back.
func (s *System) requestClear() error {
	for _, dir := range []string{"sys/class/tpm/tpm0/ppi", "sys/class/tpm/tpm0/device/ppi"} {
		file := s.path(dir + "/request")
		if _, err := os.Stat(file); err != nil {
			continue
		}
		if err := os.WriteFile(file, []byte(clearOperation), 0o600); err != nil {
			return fmt.Errorf("the firmware takes no request: %w", err)
		}
		asked, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if strings.TrimSpace(string(asked)) != clearOperation {
			return errors.New("the firmware does not keep the request")
		}
		return nil
	}
	return errors.New("the firmware has no way to be asked")
}
