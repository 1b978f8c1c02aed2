package oci

import (
	"bytes"
	"context"
	"io"
	"log"
	"net/http"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/shoenig/test/must"
)

var emptyIndex v1.ImageIndex = empty.Index

// quiet is a log that nobody reads.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// closing is a transport whose connections are closed with the test.
func closing(t testing.TB) http.RoundTripper {
	tr := remote.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// blobLayer is a layer that is what it says, also if that is not true.
type blobLayer struct {
	data           []byte
	digest, diffID v1.Hash
	size           int64
	kind           types.MediaType
	urls           []string
}

func (l blobLayer) Digest() (v1.Hash, error)            { return l.digest, nil }
func (l blobLayer) DiffID() (v1.Hash, error)            { return l.diffID, nil }
func (l blobLayer) Size() (int64, error)                { return l.size, nil }
func (l blobLayer) MediaType() (types.MediaType, error) { return l.kind, nil }
func (l blobLayer) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.data)), nil
}
func (l blobLayer) Uncompressed() (io.ReadCloser, error) { return l.Compressed() }

// Descriptor is used for manifests.
func (l blobLayer) Descriptor() (*v1.Descriptor, error) {
	return &v1.Descriptor{MediaType: l.kind, Size: l.size, Digest: l.digest, URLs: l.urls}, nil
}

// stored is a layer of an archive that is stored as data.
func stored(t testing.TB, archive, data []byte, kind types.MediaType) blobLayer {
	t.Helper()
	digest, size, err := v1.SHA256(bytes.NewReader(data))
	must.NoError(t, err)
	diffID, _, err := v1.SHA256(bytes.NewReader(archive))
	must.NoError(t, err)
	return blobLayer{data: data, digest: digest, diffID: diffID, size: size, kind: kind}
}

// opener opens data.
func opener(data []byte) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
}
