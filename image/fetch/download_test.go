package fetch

import (
	"bytes"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
)

func TestDownload_speak(t *testing.T) {
	leak.Check(t)
	for total, want := range map[int64][]string{
		200 << 20: {"downloading a_1.xz (200 MiB)", "downloading a_1.xz: 25 % of 200 MiB, 2.5 MiB/s"},
		-1:        {"downloading a_1.xz", "downloading a_1.xz: 50.0 MiB, 2.5 MiB/s"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var said []string
			d := &Download{URL: &url.URL{Path: "/pots/a_1.xz"}, progress: func(s string) { said = append(said, s) }}
			speak := d.reporter(total)
			speak(1) // too early to say more
			time.Sleep(20 * time.Second)
			speak(50 << 20)
			speak(51 << 20)
			must.Eq(t, want, said)
		})
	}
}

func TestSize(t *testing.T) {
	leak.Check(t)
	for bytes, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 843904: "824 KiB", 5 << 40: "5.0 TiB", 5 << 50: "5120 TiB",
	} {
		must.Eq(t, want, image.FormatSize(bytes))
	}
}

func TestCheckRedirect(t *testing.T) {
	leak.Check(t)
	follow := func(from, to string) error {
		return checkRedirect(&http.Request{URL: &url.URL{Scheme: to}}, []*http.Request{{URL: &url.URL{Scheme: from}}})
	}
	must.NoError(t, follow("http", "http"))
	must.NoError(t, follow("http", "https"))
	must.NoError(t, follow("https", "https"))
	must.EqError(t, follow("https", "http"), "redirect refused: from https to http")
	must.EqError(t, follow("http", "ftp"), "redirect refused: from http to ftp")
}

func TestDownload_stranger(t *testing.T) {
	leak.Check(t)
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	u, err := url.Parse(server.URL)
	must.NoError(t, err)
	d := &Download{URL: u, Stall: time.Minute, Client: NewClient(nil)}
	err = d.To(t.Context(), new(bytes.Buffer))
	var unknown x509.UnknownAuthorityError
	must.True(t, errors.As(err, &unknown), must.Sprint(err))
	must.False(t, image.Retryable(err)) // it will be no more who it should be
}
