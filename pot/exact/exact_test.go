package exact

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

type name string

type inner struct {
	Argv   []string
	Labels map[string]string `json:"labels,omitempty"`
	Deep   map[name]name
}

type object struct {
	Env    []string `json:"env"`
	Name   name
	Empty  string `json:",omitempty"`
	Inner  inner  `json:"in"`
	Point  *inner
	When   time.Time
	Addr   netip.Addr
	Number int
	Out    string `json:"-"`
}

// odd are strings that are not UTF-8, in each way that bytes can be invalid.
var odd = []string{"\xff", "a\x80b", "\xc3", "\xed\xa0\x80", "\xf4\x90\x80\x80", "é\xe9", "\n\xfe\n", "\x00\xff", "\uFFFD\xff"}

func TestExact(t *testing.T) {
	leak.Check(t)
	fine := object{
		Env: []string{"A=é", "B=\uFFFD", "C=\n"}, Name: "web", Inner: inner{Argv: []string{"<a>"}, Labels: map[string]string{"k/1": "v"}},
		When: time.Unix(1, 2).UTC(), Addr: netip.MustParseAddr("10.0.0.1"), Number: 3,
	}
	t.Run("an object of UTF-8 strings is plain JSON", func(t *testing.T) {
		want, err := json.Marshal(fine)
		must.NoError(t, err)
		got, err := Marshal(fine)
		must.NoError(t, err)
		must.Eq(t, string(want), string(got))
	})
	all := fine
	all.Env, all.Name = append([]string{"A=1"}, odd...), name(odd[0])
	all.Inner = inner{Argv: odd, Labels: map[string]string{"a/b": odd[1], "c": "d"}, Deep: map[name]name{"x": name(odd[2])}}
	all.Point = &inner{Argv: odd}
	data, err := Marshal(&all)
	must.NoError(t, err)
	t.Run("other strings are restored", func(t *testing.T) {
		var got object
		must.NoError(t, Unmarshal(data, &got))
		must.True(t, reflect.DeepEqual(all, got), must.Sprintf("%+v", got))
		got = object{}
		must.NoError(t, Decode(bytes.NewReader(append(data, "\nmore"...)), &got))
		must.True(t, reflect.DeepEqual(all, got), must.Sprintf("%+v", got))
	})
	t.Run("encoding/json reads the object with those bytes replaced", func(t *testing.T) {
		want, err := json.Marshal(all)
		must.NoError(t, err)
		var plain, got object
		must.NoError(t, json.Unmarshal(want, &plain))
		must.NoError(t, json.Unmarshal(data, &got))
		must.True(t, reflect.DeepEqual(plain, got), must.Sprintf("%+v", got))
		must.NoError(t, Unmarshal(want, &got)) // and an object without the additional member is read
		must.True(t, reflect.DeepEqual(plain, got), must.Sprintf("%+v", got))
	})
	t.Run("paths that do not exist are ignored", func(t *testing.T) {
		var got object
		must.NoError(t, Unmarshal([]byte(`{"env":["a"],"bytes":[{"at":["env","7"],"is":"/w=="},{"at":["env","-1"],"is":"/w=="},{"at":["nosuch"],"is":"/w=="},
			{"at":[],"is":"/w=="},{"at":["in","labels","x"],"is":"/w=="},{"at":["Point","Argv","0"],"is":"/w=="},{"at":["Number"],"is":"/w=="}]}`), &got))
		must.Eq(t, []string{"a"}, got.Env)
	})
	t.Run("an object that is cut off is an error", func(t *testing.T) {
		for n := range len(data) {
			must.Error(t, Unmarshal(data[:n], new(object)))
		}
	})
}
