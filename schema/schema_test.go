package schema

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m.Run)) }

// docs/json.md has every key and every command, and a key has one type wherever it is.
func TestDocumented(t *testing.T) {
	leak.Check(t)
	text, err := os.ReadFile("../docs/json.md")
	must.NoError(t, err)
	doc := string(text)
	types := map[string]reflect.Type{}
	var look func(t reflect.Type)
	look = func(of reflect.Type) {
		switch of.Kind() {
		case reflect.Slice, reflect.Pointer, reflect.Map:
			look(of.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		if of == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range of.NumField() {
			f := of.Field(i)
			if f.Anonymous {
				look(f.Type)
				continue
			}
			key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			must.NotEq(t, "", key, must.Sprint(of, f.Name))
			must.StrContains(t, doc, "`"+key+"`", must.Sprint(of))
			kind := f.Type
			if kind.Kind() == reflect.Pointer {
				kind = kind.Elem()
			}
			if before, known := types[key]; known && key != "commands" {
				must.Eq(t, before.String(), kind.String(), must.Sprint(of, key))
			}
			types[key] = kind
			look(f.Type)
		}
	}
	look(reflect.TypeFor[Message]())
	for command, value := range Commands {
		if command != "images" { // an alias
			must.StrContains(t, doc, "`pot "+command)
		}
		look(reflect.TypeOf(value))
	}
}
