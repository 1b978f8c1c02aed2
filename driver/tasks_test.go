package driver

import (
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
)

// What a driver of another version has called its pots is theirs all the same.
func TestTasks_pots(t *testing.T) {
	leak.Check(t, leak.Foreign)
	var ts tasks
	_, ok := ts.take(t.Context(), testID)
	must.True(t, ok)
	must.Eq(t, map[pot.Name]*task{TaskID(testID).PotName(): nil}, ts.pots())
	old := &task{id: testID, state: state{Pot: "web_of_old"}}
	ts.settle(testID, old)
	must.MapContainsKeys(t, ts.pots(), []pot.Name{TaskID(testID).PotName(), "web_of_old"})
}
