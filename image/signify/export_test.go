package signify

// Mixed is k with the public half of no key.
func Mixed(k SecretKey) SecretKey {
	k.key[len(k.key)-1] ^= 1
	return k
}
