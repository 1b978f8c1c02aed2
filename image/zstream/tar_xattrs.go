package zstream

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Extended attributes stand in extended headers in two ways: SCHILY.xattr.NAME with the
// value, as star(1) and GNU tar write them, and LIBARCHIVE.xattr.NAME with the name
// percent-encoded and the value in Base64. bsdtar(1) of FreeBSD writes both of each by
// default, and the names of its namespaces as user.NAME and system.NAME (libarchive,
// archive_write_set_format_pax.c, archive_read_disk_entry_from_file.c).
const (
	schilyXattr     = "SCHILY.xattr."
	libarchiveXattr = "LIBARCHIVE.xattr."
)

// maxXattrName is the limit of Linux and FreeBSD (XATTR_NAME_MAX, EXTATTR_MAXNAMELEN).
const maxXattrName = 255

// addPAXAttributes adds the extended attributes of an extended header to a file, and
// counts what it omits.
func (a *tarReader) addPAXAttributes(f *file, records map[string]string) error {
	all, err := xattrsOfRecords(records)
	if err != nil {
		return err
	}
	left := map[string]bool{}
	xattrs := map[string][]byte{}
	for name, value := range all {
		switch {
		case strings.HasPrefix(name, userPrefix):
			xattrs[name] = value
		case strings.HasPrefix(name, "system.posix_acl_"), strings.HasPrefix(name, "system.posix1e."), strings.HasPrefix(name, "system.nfs4."):
			left[omitACLs] = true
		case name != "security.selinux":
			left[omitXattrs] = true
		}
	}
	for key := range records {
		switch {
		case strings.HasPrefix(key, "SCHILY.acl."):
			left[omitACLs] = true
		case key == "SCHILY.fflags":
			left[omitFlags] = true
		}
	}
	for what := range left {
		a.omit(what)
	}
	a.setXattrs(f, xattrs)
	return nil
}

// xattrsOfRecords returns the extended attributes in an extended header. If an attribute
// is there in both formats, the Base64 one wins.
func xattrsOfRecords(records map[string]string) (map[string][]byte, error) {
	all := map[string][]byte{}
	for key, value := range records {
		name, is := strings.CutPrefix(key, libarchiveXattr)
		if !is {
			continue
		}
		name = decodePercent(name)
		data, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(value, "="))
		if err != nil {
			return nil, fmt.Errorf("extended attribute %.300q: its value is not in Base64", name)
		}
		all[name] = data
	}
	encoded := len(all)
	for key, value := range records {
		name, is := strings.CutPrefix(key, schilyXattr)
		if _, there := all[name]; is && !there && (encoded == 0 || !isSplitAtEquals(all, name, value)) {
			all[name] = []byte(value)
		}
	}
	for name := range all {
		if err := checkXattrName(name); err != nil {
			return nil, fmt.Errorf("extended attribute %.300q: %w", name, err)
		}
	}
	return all, nil
}

// isSplitAtEquals reports whether a record is the plain copy of an attribute with = in
// its name: the name of a record ends at the first =.
func isSplitAtEquals(all map[string][]byte, name, value string) bool {
	for i := range len(value) {
		if value[i] != '=' {
			continue
		}
		if is, there := all[name+"="+value[:i]]; there && string(is) == value[i+1:] {
			return true
		}
	}
	return false
}

// checkXattrName returns an error for a name, with its namespace, that no receiver
// supports.
func checkXattrName(name string) error {
	switch {
	case name == "" || name == userPrefix:
		return errors.New("it has no name")
	case len(name) > maxXattrName:
		return fmt.Errorf("its name is longer than %d bytes", maxXattrName)
	case strings.Contains(name, "\x00"):
		return errors.New("its name has NUL in it")
	}
	return nil
}

// decodePercent decodes %XX. A % that two hexadecimal digits do not follow stands for
// itself.
func decodePercent(s string) string {
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				out = append(out, c[0])
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}
