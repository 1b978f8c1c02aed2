package zfs

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot/run"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m.Run)) }

// Texts that a real FreeBSD wrote stand for the errors that callers ask for.
func TestClassify_real(t *testing.T) {
	leak.Check(t)
	text, err := os.ReadFile("testdata/errors.txt")
	must.NoError(t, err)
	known := map[string]error{"exist": fs.ErrExist, "not exist": fs.ErrNotExist, "busy": ErrBusy, "dependents": ErrDependents}
	n := 0
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		class, complaint, found := strings.Cut(strings.TrimSpace(line), " | ")
		must.True(t, found, must.Sprint(line))
		n++
		got := classify(&run.Error{Argv: []string{"zfs", "x"}, Code: 1, Stderr: strings.ReplaceAll(complaint, "|", "\n")})
		for name, is := range known {
			must.Eq(t, name == class, errors.Is(got, is), must.Sprint(line, name))
		}
		must.True(t, errors.As(got, new(*run.Error)))
		if first, _, _ := strings.Cut(complaint, "|"); class == "dependents" {
			must.StrHasSuffix(t, first, got.Error())
		}
	}
	must.Eq(t, 10, n)
}

// EZFS_PERM of libzfs_util.c: a user without root's rights.
func TestClassify_permission(t *testing.T) {
	leak.Check(t)
	err := classify(&run.Error{Argv: []string{"zfs", "create", "tank/a"}, Code: 1, Stderr: "cannot create 'tank/a': permission denied"})
	must.ErrorIs(t, err, fs.ErrPermission)
}

func TestCommands(t *testing.T) {
	leak.Check(t)
	log := &run.Log{Answers: map[string]run.Answer{
		"zfs mount tank/a":      {Err: &run.Error{Argv: []string{"zfs"}, Code: 1, Stderr: "cannot mount 'tank/a': filesystem already mounted"}},
		"zfs holds -H tank/a@1": {Stdout: "tank/a@1\ta\ttag\tFri Nov 27  8:00 2026\n"},
		"zfs list -H -r -d 3 -t snapshot -o name,clones tank":              {Stdout: "tank/a@1\t\ntank/a@2\t-\ntank/a@3\ttank/b,tank/c\n"},
		"zfs get -Hp -s local -o property,value all tank/a":                {Stdout: "user:a\tone\ttwo\nlines\n"},
		"zfs get -Hp -s local,none -o name,property,value guid,user:a t@1": {Stdout: "t@1\tguid\t7\nt@1\tuser:a\t-\n"},
		"zfs list -Hp -o mounted,available tank":                           {Stdout: "yes\t18446744073709551615\n"},
		"zfs list -Hp -o mounted,available tank/a":                         {Stdout: "yes\tmuch\n"},
		"zfs list -Hp -r -t filesystem,volume -o name,type,origin tank":    {Stdout: "tank\tfilesystem\n"},
	}}
	c, ctx := Commands{log}, t.Context()
	t.Run("a file system that is mounted need not be", func(t *testing.T) {
		must.NoError(t, c.Mount(ctx, "tank/a"))
	})
	t.Run("a tag may have a tab in it", func(t *testing.T) {
		all, err := c.Holds(ctx, "tank/a@1")
		must.NoError(t, err)
		must.Eq(t, []Hold{{"tank/a@1", "a\ttag"}}, all)
	})
	t.Run("a snapshot without clones is not cloned", func(t *testing.T) {
		all, err := c.Cloned(ctx, "tank")
		must.NoError(t, err)
		must.Eq(t, []string{"tank/a@3"}, all)
	})
	t.Run("a value may have tabs and lines in it", func(t *testing.T) {
		all, err := c.LocalProperties(ctx, "tank/a")
		must.NoError(t, err)
		must.Eq(t, "one\ttwo", all["user:a"])
	})
	t.Run("a property without a value is not there", func(t *testing.T) {
		all, err := c.Properties(ctx, []string{"guid", "user:a"}, "t@1")
		must.NoError(t, err)
		must.Eq(t, map[string]map[string]string{"t@1": {"guid": "7"}}, all)
	})
	t.Run("properties are set in one order", func(t *testing.T) {
		must.NoError(t, c.Create(ctx, "tank/b", map[string]string{"quota": "1", "atime": "off"}))
		must.NoError(t, c.Set(ctx, "tank/b", map[string]string{"quota": "1", "atime": "off"}))
		must.StrContains(t, log.String(), "zfs create -o atime=off -o quota=1 tank/b\nzfs set atime=off quota=1 tank/b\n")
	})
	t.Run("output that cannot be read is an error", func(t *testing.T) {
		mounted, free, err := c.Space(ctx, "tank")
		must.NoError(t, err)
		must.True(t, mounted)
		must.Eq(t, uint64(18446744073709551615), free)
		_, _, err = c.Space(ctx, "tank/a")
		must.ErrorContains(t, err, `zfs list tank/a: "much": `)
		_, _, err = c.Space(ctx, "tank/b")
		must.ErrorContains(t, err, "want one line, not 0")
		_, err = c.Tree(ctx, "tank")
		must.EqError(t, err, `zfs list tank: "tank\tfilesystem": want 3 columns`)
	})
	t.Run("a Log cannot stream", func(t *testing.T) {
		must.ErrorContains(t, c.Send(ctx, "tank/a@1", nil), "internal error")
	})
}
