package pot

import (
	"context"
	"fmt"
	"time"
)

// undoTimeout bounds what is undone when something has failed: where a host does not
// answer, nobody is to wait for ever.
const undoTimeout = 2 * time.Minute

// Undo removes what was made before something failed, also if ctx is cancelled, and
// within a bound.
func Undo(ctx context.Context, undo func(context.Context) error) error {
	cause := fmt.Errorf("not undone within %s", undoTimeout)
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), undoTimeout, cause)
	defer cancel()
	return undo(ctx)
}
