package tree

import (
	"fmt"
	"io"
)

// ReadAtMost reads all of r, which a user knows by that name. More than limit bytes are an
// error.
func ReadAtMost(r io.Reader, name string, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s: more than %d bytes", name, limit)
	}
	return data, err
}
