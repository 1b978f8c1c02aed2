package conf

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestParseAttribute(t *testing.T) {
	leak.Check(t)
	for text, want := range map[string]string{
		"mlock:on": "YES", "mlock:False": "NO", "sysvshm:inherit": "inherit", "children:007": "7", "devfs_ruleset:5": "5",
		"exec_stop:/bin/sh /etc/rc.shutdown A=1": "/bin/sh /etc/rc.shutdown A=1", "no-tmpfs:no": "NO",
		"persistent:NO": "NO", "no-rc-script:true": "YES", "stop_timeout:10": "10",
	} {
		name, value, _ := strings.Cut(text, ":")
		got, err := ParseTaskAttribute(name, value)
		must.NoError(t, err)
		must.Eq(t, want, got, must.Sprint(text))
	}
	for text, want := range map[string]string{
		"frob:1":            `no such attribute: "frob"`,
		"mlock:maybe":       `mlock: must be YES or NO, not "maybe"`,
		"children:-1":       "children: must be a number",
		"devfs_ruleset:x":   "devfs_ruleset: must be a number",
		"enforce_statfs:3":  "enforce_statfs: must be a number, at most 2",
		"sysvshm:old":       "sysvshm: must be one of new, inherit, disable",
		"exec_stop:a\nip=1": "exec_stop: must be one line",
		"persistent:YES":    "persistent: is NO for every task, and cannot be YES",
		"stop_timeout:60":   "stop_timeout: is 10 for every task",
	} {
		name, value, _ := strings.Cut(text, ":")
		_, err := ParseTaskAttribute(name, value)
		must.ErrorContains(t, err, want)
	}
}

// A build accepts exactly the values that a start uses.
func TestAttributes_agree(t *testing.T) {
	leak.Check(t)
	for _, c := range []struct{ name, value, want string }{ // want is the error, "" if the value is accepted
		{"enforce_statfs", "9", "enforce_statfs: must be a number, at most 2"},
		{"devfs_ruleset", "70000", "devfs_ruleset: must be a number, at most 65535"},
		{"children", "2000000", "children: must be a number, at most 999998"},
		{"stop_timeout", "2147483648", "stop_timeout: must be a number, at most 2147483647"},
		{"linsysfs", "YES", ""},
		{"exec_stop", "printf '\a'", ""},
		{"exec_stop", "printf \a", ""},
		{"exec_stop", "a\nb", "exec_stop: must be one line"},
		{"mlock", "TRUE", ""},
	} {
		built, err := New{Attributes: map[string]string{c.name: c.value}}.Format("web")
		if c.want != "" {
			must.ErrorContains(t, err, c.want)
			image, err := Read(strings.NewReader("pot.attr." + c.name + "=" + strings.ReplaceAll(c.value, "\n", "") + "\n"))
			must.NoError(t, err)
			if !strings.Contains(c.value, "\n") {
				must.MapEmpty(t, image.Attributes)
				must.Len(t, 1, image.Invalid)
				must.ErrorContains(t, image.Invalid[0], c.want)
			}
			continue
		}
		must.NoError(t, err)
		image, err := Read(strings.NewReader(built))
		must.NoError(t, err)
		must.SliceEmpty(t, image.Invalid)
		want, err := ParseAttribute(c.name, c.value)
		must.NoError(t, err)
		must.Eq(t, want, image.Attributes[c.name])
	}
	must.Eq(t, "YES", NewPotAttribute("persistent")) // a pot that is kept by hand
	must.Eq(t, "NO", Attributes{}.Value("persistent"))
	must.Eq(t, "NO", NewPotAttribute("no-tmpfs"))
	must.Eq(t, "YES", Attributes{}.Value("no-tmpfs"))
}

func TestLines_Attribute(t *testing.T) {
	leak.Check(t)
	lines, err := ParseLines([]byte("pot.attr.persistent=off\npot.attr.no-tmpfs=\"YES\"\npot.attr.stop_timeout=99999999999\npot.attr.exec_stop=\"/bin/stop\" now\n"))
	must.NoError(t, err)
	for name, want := range map[string]string{
		"persistent": "NO", "no-tmpfs": "YES", "stop_timeout": "10", "no-etc-hosts": "NO", "exec_stop": `"/bin/stop" now`, "mlock": "NO",
	} {
		must.Eq(t, want, lines.Attribute(name), must.Sprint(name))
	}
	must.Eq(t, `"/bin/stop" now`, lines.RawAttribute("exec_stop"))
	must.Eq(t, "off", lines.RawAttribute("persistent"))
}

func TestNew_refused(t *testing.T) {
	leak.Check(t)
	for want, c := range map[string]New{
		"command: must not be blank":       {Command: " \t"},
		"env[0]: must be VAR=value":        {Env: []string{"a.b=1"}},
		"attributes.children: must be":     {Attributes: map[string]string{"children": "999999"}},
		"attributes.stop_timeout: must be": {Attributes: map[string]string{"stop_timeout": "2147483648"}},
	} {
		must.ErrorContains(t, c.Validate(), want)
	}
}
