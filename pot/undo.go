package pot

import (
	"context"
	"fmt"
	"time"
)

// undoTimeout bounds an Undo, so that a host that does not answer does not block the caller
// for ever.
const undoTimeout = 2 * time.Minute

// Undo calls undo, to remove what was made before a failure. The context of undo keeps the
// values of ctx, but not its end: it ends after undoTimeout.
func Undo(ctx context.Context, undo func(context.Context) error) error {
	cause := fmt.Errorf("not undone within %s", undoTimeout)
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), undoTimeout, cause)
	defer cancel()
	return undo(ctx)
}
