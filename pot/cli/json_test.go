package cli_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/shoenig/test/must"
	"github.com/spf13/cobra"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/inspect"
	"nomad-driver-pot/pot/cli"
	"nomad-driver-pot/schema"
)

// typeFor returns the type of what a command prints with -o json.
func typeFor(command string) (reflect.Type, bool) {
	if command == "image inspect" {
		return reflect.TypeFor[inspect.Report](), true
	}
	v, known := schema.Commands[command]
	return reflect.TypeOf(v), known
}

// decodes fails the script unless standard output is one JSON value of the type for the
// command: no other keys than the type has, and all that it does not leave out.
func decodes(ts *testscript.TestScript, _ bool, args []string) {
	command := strings.Join(args, " ")
	of, known := typeFor(command)
	if !known {
		ts.Fatalf("no type for pot %s", command)
	}
	text := []byte(ts.ReadFile("stdout"))
	v := reflect.New(of)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	ts.Check(d.Decode(v.Interface()))
	if _, err := d.Token(); err != io.EOF {
		ts.Fatalf("more than one value")
	}
	again, err := json.Marshal(v.Interface())
	ts.Check(err)
	var printed bytes.Buffer
	ts.Check(json.Compact(&printed, text))
	var plain bytes.Buffer // as Marshal escapes it
	json.HTMLEscape(&plain, printed.Bytes())
	if plain.String() != string(again) {
		ts.Fatalf("keys are missing:\n%s\n%s", plain.String(), again)
	}
}

// Each command with -o has a type, and a script that decodes what it prints.
func TestJSON_eachCommand(t *testing.T) {
	leak.Check(t)
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	must.NoError(t, err)
	var all strings.Builder
	for _, name := range scripts {
		text, err := os.ReadFile(name)
		must.NoError(t, err)
		all.Write(text)
	}
	n := 0
	var look func(c *cobra.Command)
	look = func(c *cobra.Command) {
		if c.Flags().Lookup("output") != nil {
			command := strings.TrimPrefix(c.CommandPath(), "pot ")
			_, known := typeFor(command)
			must.True(t, known, must.Sprint(command))
			must.StrContains(t, all.String(), "decodes "+command+"\n")
			n++
		}
		for _, sub := range c.Commands() {
			look(sub)
		}
	}
	look(cli.New("pot"))
	must.Eq(t, len(schema.Commands)+1, n)
}
