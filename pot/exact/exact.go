// Package exact is JSON that keeps strings as they are. A string in Go, an argument or an
// environment may be of any bytes, and encoding/json replaces those that are no UTF-8.
//
// An object without such strings is what encoding/json makes of it. One that has some has a
// member more, by which they are restored: a reader that does not know it finds the same
// object with the bytes replaced.
//
// The package imports the standard library alone: it is part of pot-supervisor.
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

// kept is a string that is no UTF-8, and where it is: names of members, indexes, keys.
type kept struct {
	At []string `json:"at"`
	Is []byte   `json:"is"`
}

// restore is the member that has them. No object here has another of that name.
type restore struct {
	Bytes []kept `json:"bytes"`
}

// Marshal encodes a struct.
func Marshal(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var r restore
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

// Unmarshal decodes into a pointer to a struct.
func Unmarshal(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return err
	}
	var r restore
	if err := json.Unmarshal(data, &r); err != nil {
		return err
	}
	for _, k := range r.Bytes {
		set(reflect.ValueOf(v), k.At, string(k.Is))
	}
	return nil
}

// Decode decodes the first value of r.
func Decode(r io.Reader, v any) error {
	var data json.RawMessage
	if err := json.NewDecoder(r).Decode(&data); err != nil {
		return err
	}
	return Unmarshal(data, v)
}

// collect finds the strings that are no UTF-8.
func collect(v reflect.Value, at []string, r *restore) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		collect(v.Elem(), at, r)
	case reflect.String:
		if !utf8.ValidString(v.String()) {
			r.Bytes = append(r.Bytes, kept{slices.Clone(at), []byte(v.String())})
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

// set restores one of them. What is not there, as in an object of another version, is not
// restored.
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

// setInMap is set of a value in a map, which is replaced as a whole.
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

// member is what encoding/json calls a field, "" if it leaves it out.
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
