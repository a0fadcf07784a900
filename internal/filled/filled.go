// Package filled makes values whose every field is set, for tests of what must arrive
// whole: in a store and back, or over the wire. A field that is added to a type is thereby
// tested, without anybody thinking of it.
package filled

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"
)

// Value is a T whose every field is set, each to something else. It fails the test where
// it does not know how.
func Value[T any](t testing.TB) T {
	t.Helper()
	var v T
	fill(reflect.ValueOf(&v).Elem(), new(int))
	if path := unfilled(reflect.ValueOf(v)); path != "" {
		t.Fatalf("%T%s is not filled: teach fill its kind", v, path)
	}
	return v
}

func fill(v reflect.Value, n *int) {
	*n++
	if whole, ok := opaque(v.Type(), *n); ok {
		v.Set(whole)
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d, 'quoted' \"twice\" \x01 é", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8, reflect.Uint64:
		v.SetUint(uint64(*n % 256))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, n)
		fill(value, n)
		v.SetMapIndex(key, value)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	}
}

// opaque makes values of types whose fields are their own business.
func opaque(t reflect.Type, n int) (reflect.Value, bool) {
	address := netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})
	for _, v := range []any{time.Date(2031, 5, 4, 3, 2, 1, 1000*n, time.UTC), address, netip.PrefixFrom(address, 24)} {
		if reflect.TypeOf(v) == t {
			return reflect.ValueOf(v), true
		}
	}
	return reflect.Value{}, false
}

// unfilled is the path of the first zero field, or "".
func unfilled(v reflect.Value) string {
	switch {
	case v.IsZero():
		return " (zero)"
	case v.Kind() == reflect.Struct:
		if _, whole := opaque(v.Type(), 0); whole {
			return ""
		}
		for i := range v.NumField() {
			if path := unfilled(v.Field(i)); path != "" {
				return "." + v.Type().Field(i).Name + path
			}
		}
	}
	return ""
}
