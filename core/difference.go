package core

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// difference names all in which an order differs from what an allocation was made
// with, "" where nothing does: who is told of one thing only asks again for the next. An
// order without keys is for a node alone, and asks nothing of what is deployed there.
func (e *Engine) difference(a Allocation, o Order) string {
	d := differences{}
	d.compare("Owner", a.Owner, o.Owner)
	d.compare("Name", a.Name, o.Name)
	there, asked := reflect.ValueOf(a.Request), reflect.ValueOf(o.Request)
	for i := range there.NumField() { // all of them, also those that a later version has
		d.compare(there.Type().Field(i).Name, there.Field(i).Interface(), asked.Field(i).Interface())
	}
	if a.Order != nil && len(o.Keys) > 0 {
		if o.Image != "" {
			d.compare("Image", a.Order.Image, o.Image)
		}
		d = append(d, orderDifferences(*a.Order, e.deployOrder(o))...)
	}
	return strings.Join(d, "; ")
}

// orderDifferences names all in which an order differs from one that is stored, but
// for the image. Keys are too long to be shown, and user data is a secret.
func orderDifferences(there, asked DeployOrder) (d differences) {
	d.compare("Host name", there.Hostname, asked.Hostname)
	d.compare("SSH user", there.SSHUser, asked.SSHUser)
	d.compare("SSH port", there.SSHPort, asked.SSHPort)
	d.compare("Profile", there.Profile, asked.Profile)
	if !slices.Equal(there.Keys, asked.Keys) {
		d = append(d, "the keys are different")
	}
	if there.Digest != asked.Digest {
		d = append(d, "the user data is different")
	}
	if there.PostDeployDigest != asked.PostDeployDigest {
		d = append(d, "the post_deploy script is different")
	}
	return d
}

type differences []string

func (d *differences) compare(what string, there, asked any) {
	if !sameJSON(there, asked) {
		*d = append(*d, fmt.Sprintf("%s: %s there, %s asked for", what, asWritten(there), asWritten(asked)))
	}
}

// sameJSON compares as the store does: nil and empty are one.
func sameJSON(x, y any) bool {
	if v := reflect.ValueOf(x); v.Kind() == reflect.Slice && v.Len() == 0 {
		return reflect.ValueOf(y).Len() == 0
	}
	a, _ := json.Marshal(x)
	b, _ := json.Marshal(y)
	return string(a) == string(b)
}
