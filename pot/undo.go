package pot

import (
	"context"
	"fmt"
	"time"
)

// undoWithin bounds what is undone when something has failed: where a host does not
// answer, nobody is to wait for ever.
const undoWithin = 2 * time.Minute

// Undo takes away what was made before something failed, whatever became of ctx, and
// within a bound.
func Undo(ctx context.Context, undo func(context.Context) error) error {
	cause := fmt.Errorf("not undone within %s", undoWithin)
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), undoWithin, cause)
	defer cancel()
	return undo(ctx)
}
