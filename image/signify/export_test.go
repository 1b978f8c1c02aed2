package signify

// WithForeignPublicHalf returns k with a public half that does not belong to it.
func WithForeignPublicHalf(k SecretKey) SecretKey {
	k.key[len(k.key)-1] ^= 1
	return k
}
