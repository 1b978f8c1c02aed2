// Package exact encodes structs as JSON without changing their strings. A Go string, an
// argument or an environment variable may hold any bytes; encoding/json replaces those that
// are not UTF-8.
//
// An object whose strings are all UTF-8 is encoded as encoding/json does. Otherwise it gets
// one more member, "bytes", from which Unmarshal restores the strings. A reader that does
// not know the member sees the same object with the bytes replaced.
//
// The package imports only the standard library: it is part of pot-supervisor.
package exact

import (
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// rawString is a string that is not UTF-8 and the path to it: names of members, indexes,
// keys.
type rawString struct {
	At []string `json:"at"`
	Is []byte   `json:"is"`
}

// rawStrings is the additional member. No struct that is encoded here has another with this
// name.
type rawStrings struct {
	Bytes []rawString `json:"bytes"`
}

// Marshal encodes a struct, or a pointer to one.
func Marshal(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var r rawStrings
	collect(reflect.ValueOf(v), nil, &r)
	if len(r.Bytes) == 0 {
		return data, nil
	}
	if len(data) < 3 || data[0] != '{' {
		return nil, errors.New("no object with members")
	}
	more, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	data[len(data)-1] = ','
	return append(data, more[1:]...), nil
}

// Unmarshal decodes data into v, a pointer to a struct.
func Unmarshal(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return err
	}
	var r rawStrings
	if err := json.Unmarshal(data, &r); err != nil {
		return err
	}
	for _, k := range r.Bytes {
		set(reflect.ValueOf(v), k.At, string(k.Is))
	}
	return nil
}

// Decode decodes the first value of r into v, a pointer to a struct.
func Decode(r io.Reader, v any) error {
	var data json.RawMessage
	if err := json.NewDecoder(r).Decode(&data); err != nil {
		return err
	}
	return Unmarshal(data, v)
}

// collect adds to r the strings in v that are not UTF-8.
func collect(v reflect.Value, at []string, r *rawStrings) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		collect(v.Elem(), at, r)
	case reflect.String:
		if !utf8.ValidString(v.String()) {
			r.Bytes = append(r.Bytes, rawString{slices.Clone(at), []byte(v.String())})
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			collect(v.Index(i), append(at, strconv.Itoa(i)), r)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			if key.Kind() == reflect.String {
				collect(v.MapIndex(key), append(at, key.String()), r)
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if name := member(v.Type().Field(i)); name != "" {
				collect(v.Field(i), append(at, name), r)
			}
		}
	}
}

// set sets the string at a path. It ignores a path that does not exist, as in the object of
// another version.
func set(v reflect.Value, at []string, to string) {
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if len(at) == 0 {
		if v.Kind() == reflect.String && v.CanSet() {
			v.SetString(to)
		}
		return
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		if i, err := strconv.Atoi(at[0]); err == nil && i >= 0 && i < v.Len() {
			set(v.Index(i), at[1:], to)
		}
	case reflect.Map:
		setInMap(v, at, to)
	case reflect.Struct:
		for i := range v.NumField() {
			if member(v.Type().Field(i)) == at[0] {
				set(v.Field(i), at[1:], to)
			}
		}
	}
}

// setInMap implements set for a value in a map, which is replaced as a whole.
func setInMap(v reflect.Value, at []string, to string) {
	if v.Type().Key().Kind() != reflect.String {
		return
	}
	key := reflect.ValueOf(at[0]).Convert(v.Type().Key())
	old := v.MapIndex(key)
	if !old.IsValid() {
		return
	}
	changed := reflect.New(v.Type().Elem()).Elem()
	changed.Set(old)
	set(changed, at[1:], to)
	v.SetMapIndex(key, changed)
}

// member returns the name that encoding/json gives a field, "" if it leaves the field out.
func member(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	switch {
	case !f.IsExported() || name == "-":
		return ""
	case name != "":
		return name
	}
	return f.Name
}
