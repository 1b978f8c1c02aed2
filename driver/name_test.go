package driver

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestTaskID_PotName(t *testing.T) {
	leak.Check(t, leak.Foreign)
	const alloc, invocation = testAlloc, "0badcafe"
	for _, tc := range []struct{ name, id, want string }{
		{"a plain task's name is part of the pot's", testID, "web_0badcafe_" + testAlloc},
		{"a task of 17 characters fits", alloc + "/seventeen-letters/" + invocation, "seventeen-letters_0badcafe_" + testAlloc},
		{"a longer name is cut", alloc + "/eighteen-letters-x/" + invocation, "teightee-d1cea5d7_0badcafe_" + testAlloc},
		{"other characters are replaced", alloc + "/-../é/" + invocation, ""},
		{"an ID that Nomad has not made is digested", "x", "task-2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := TaskID(tc.id).PotName()
			must.NoError(t, got.Validate())
			must.LessEq(t, 63, len(got))
			if tc.want != "" {
				must.Eq(t, tc.want, string(got))
			}
		})
	}
}

func FuzzTaskID_PotName(f *testing.F) {
	f.Add("web", "Web")
	f.Add("a/b", "a-b")
	f.Add(strings.Repeat("x", 200), strings.Repeat("x", 201))
	f.Fuzz(func(t *testing.T, task, other string) {
		for _, around := range [][2]string{{testAlloc + "/", "/0badcafe"}, {"", ""}} {
			one, two := TaskID(around[0]+task+around[1]).PotName(), TaskID(around[0]+other+around[1]).PotName()
			must.NoError(t, one.Validate())
			must.LessEq(t, 63, len(one))
			must.Eq(t, task == other, one == two)
		}
	})
}
