package main

import (
	"os"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m.Run)) }

// docs/configuration.md is what `make docs` writes, so every key has its text.
func TestDocument(t *testing.T) {
	leak.Check(t)
	page, err := document()
	must.NoError(t, err)
	have, err := os.ReadFile("../../docs/configuration.md")
	must.NoError(t, err)
	must.Eq(t, string(have), page, must.Sprint("run make docs"))
}

func TestSection(t *testing.T) {
	leak.Check(t)
	schema := map[string]key{"a": {kind: "string", required: true}, "b.c": {kind: "any"}}
	const a, b = "## a\nrequired\n\nMeaning of a.\n\n```hcl\na = 1\n```\n", "## b.c\ntype: bool\ndefault: `true`\n\nMeaning of c.\n\n```hcl\nb { c = 1 }\n```\n"
	t.Run("each key has a row and a part", func(t *testing.T) {
		page, err := section("Title", "Preface.\n\n", a+"\n"+b, schema)
		must.NoError(t, err)
		must.Eq(t, "## Title\n\nPreface.\n\n| key | type | default |\n|---|---|---|\n"+
			"| [`a`](#a) | string | required |\n| [`b.c`](#bc) | bool | `true` |\n"+
			"\n### `a`\n\nstring, required\n\nMeaning of a.\n\n```hcl\na = 1\n```\n"+
			"\n### `b.c`\n\nbool, default `true`\n\nMeaning of c.\n\n```hcl\nb { c = 1 }\n```\n", page)
	})
	for _, c := range []struct{ name, file, err string }{
		{"a key without a text", a, "b.c has no text"},
		{"a text without a key", a + b + "## d\ndefault: 1\n\nD.\n\n```hcl\nd = 1\n```\n", "no such key: d"},
		{"a key that is described twice", a + b + a, "a is described twice"},
		{"a required key with a default", "## a\ndefault: 1\n\nA.\n\n```hcl\na = 1\n```\n" + b, "a: a key is required or has a default"},
		{"another type than the schema's", "## a\ntype: bool\nrequired\n\nA.\n\n```hcl\na = 1\n```\n" + b, "a: its type is string"},
		{"no type where the schema has none", a + "## b.c\nrequired\n\nC.\n\n```hcl\nb {}\n```\n", "b.c: its type is any"},
		{"an optional key without a default", a + "## b.c\ntype: bool\n\nC.\n\n```hcl\nb {}\n```\n", "b.c: a key is required or has a default"},
		{"a key without a meaning", "## a\nrequired\n\n```hcl\na = 1\n```\n" + b, "a: needs a meaning and an example"},
		{"a key without an example", "## a\nrequired\n\nA.\n" + b, "a: needs a meaning and an example"},
	} {
		t.Run(c.name+" is an error", func(t *testing.T) {
			_, err := section("Title", "", c.file, schema)
			must.EqError(t, err, c.err)
		})
	}
}
