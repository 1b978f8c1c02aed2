package image

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// OpenRegular opens a regular file, and nothing else: opening or reading a pipe or a device
// could block. It follows symbolic links. Its errors do not name the file.
func OpenRegular(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		var pe *fs.PathError // its path is in the URL that is named already
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, errors.Join(err, errors.New("not a regular file"))
	}
	return f, nil
}

// ReadBounded reads a regular file of at most most bytes. Its errors name the file.
func ReadBounded(name string, most int64) ([]byte, error) {
	f, err := OpenRegular(name)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer f.Close()
	return ReadAtMost(f, most)
}

// ReadAtMost reads the rest of f, and returns an error if that has more than most bytes.
func ReadAtMost(f *os.File, most int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s: more than %d bytes", f.Name(), most)
	}
	return text, err
}
