package driver

import (
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
)

// A pot belongs to its task even if another version of the driver named it differently.
func TestTasks_pots(t *testing.T) {
	leak.Check(t, leak.Foreign)
	var ts tasks
	_, ok := ts.begin(t.Context(), testID)
	must.True(t, ok)
	must.Eq(t, map[pot.Name]*task{TaskID(testID).PotName(): nil}, ts.pots())
	old := &task{id: testID, state: state{Pot: "web_of_old"}}
	ts.finish(testID, old)
	must.MapContainsKeys(t, ts.pots(), []pot.Name{TaskID(testID).PotName(), "web_of_old"})
}
