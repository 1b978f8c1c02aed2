package freebsd

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"nomad-driver-pot/pot"
)

// The redirects of a pot are in an anchor of its own, below rdrAnchor. pfctl(8) takes
// no more than 63 characters for all of an anchor's path (PF_ANCHOR_NAME_SIZE,
// sys/netpfil/pf/pf.h; pfctl.c, pfctl_rules), and no part of it that begins with _
// (pfctl.c, main). A pot's name can be longer, and begin so.
const (
	maxPlainAnchor = 54 // a name has no more, so that none of oldAnchorLen is one's own
	oldAnchorLen   = 55 // of names that were cut
	anchorTail     = 46 // of a long name: a task's invocation and allocation, and the _ before each
	anchorDigits   = 8  // of a digest, before it
)

// anchorOf returns the path of a pot's anchor: the pot's name, or, where that cannot
// be one, digits that are the pot's own before the end of the name. No two pots share
// an anchor. The anchor of a task's pot has the form of such a pot's name, and is its
// own anchor's name.
func anchorOf(name pot.Name) string {
	text := string(name)
	if len(text) > maxPlainAnchor || strings.HasPrefix(text, "_") {
		sum := sha256.Sum256([]byte(text))
		text = hex.EncodeToString(sum[:])[:anchorDigits] + text[max(0, len(text)-anchorTail):]
	}
	return rdrAnchor + "/" + text
}

// oldAnchorOf returns the anchor that a pot has from the shell tool, or from a version
// of this driver that cut names as that does: the last 55 characters of a name,
// without underscores before them (share/pot/network.sh, _get_pot_rdr_anchor_name). It is ""
// where that is anchorOf, or no anchor at all. Pots whose names end alike have the same.
func oldAnchorOf(name pot.Name) string {
	text := string(name)
	if len(text) > oldAnchorLen {
		text = strings.TrimLeft(text[len(text)-oldAnchorLen:], "_")
	}
	old := rdrAnchor + "/" + text
	if text == "" || strings.HasPrefix(text, "_") || old == anchorOf(name) {
		return ""
	}
	return old
}

// anchorsOf returns all the anchors that a pot may have.
func anchorsOf(name pot.Name) []string {
	all := []string{anchorOf(name)}
	if old := oldAnchorOf(name); old != "" {
		all = append(all, old)
	}
	return all
}

// ownersOf returns the pots that anchors, without rdrAnchor, belong to: the known pots
// that may have them, or else the pot that an anchor is named after. It skips an anchor
// that can only be the end of a longer name, if no known pot has such a name.
func ownersOf(anchors []string, known []pot.Name) []pot.Name {
	owners := map[string][]pot.Name{}
	for _, name := range known {
		for _, path := range anchorsOf(name) {
			owners[path] = append(owners[path], name)
		}
	}
	var all []pot.Name
	for _, anchor := range anchors {
		path := rdrAnchor + "/" + anchor
		switch {
		case owners[path] != nil:
			all = append(all, owners[path]...)
		case anchorOf(pot.Name(anchor)) == path:
			all = append(all, pot.Name(anchor))
		}
	}
	return all
}
