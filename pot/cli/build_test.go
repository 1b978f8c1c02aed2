package cli

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestSignatureComment(t *testing.T) {
	leak.Check(t)
	must.Eq(t, "verify with pots.pub", signatureComment("/keys/pots.sec", "pots secret key"))
	must.Eq(t, "signature from pots secret key", signatureComment("/keys/pots", "pots secret key"))
	must.Eq(t, "signature from pots secret key", signatureComment(".sec", "pots secret key"))
}

func TestSourceDate(t *testing.T) {
	leak.Check(t)
	got, err := sourceDate("1795392222")
	must.NoError(t, err)
	must.Eq(t, time.Unix(1795392222, 0), got)
	got, err = sourceDate("")
	must.NoError(t, err)
	must.True(t, got.IsZero())
	for _, bad := range []string{"0", "-1", "1.5", "now", "99999999999999999999"} {
		_, err := sourceDate(bad)
		must.ErrorContains(t, err, "SOURCE_DATE_EPOCH: must be seconds since 1970, not ")
	}
}
