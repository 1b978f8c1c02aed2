package supervise

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// maxRecord bounds a record that is read, in bytes.
const maxRecord = 64 << 10

// writeRecord writes v to dir/name atomically: readers see the whole record or none.
func writeRecord(dir, name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("internal error: encode %s: %w", name, err)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path+".new", append(data, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// readRecord decodes dir/name into v.
func readRecord(dir, name string, v any) error {
	path := filepath.Join(dir, name)
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() > maxRecord {
		return fmt.Errorf("%s: %d bytes are no record", path, info.Size())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
