package conf

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// memories matches an amount of memory in the form of pot set-rss -M.
var memories = regexp.MustCompile(`^([0-9]+)[bBkKmMgG]?$`)

// ParseMemory parses an amount of memory in the form of pot set-rss -M, with units of 1024, and
// returns it in bytes: from 1 to 2^62.
func ParseMemory(text string) (int64, error) {
	parts := memories.FindStringSubmatch(text)
	if parts == nil {
		return 0, fmt.Errorf("must be as in 512M, not %.80q", text)
	}
	n, err := strconv.ParseInt(parts[1], 10, 64)
	shift := map[string]int{"k": 10, "m": 20, "g": 30}[strings.ToLower(text[len(parts[1]):])]
	if err != nil || n == 0 || n > 1<<(62-shift) {
		return 0, fmt.Errorf("must be more than 0 and at most 2^62 bytes, not %.80q", text)
	}
	return n << shift, nil
}
