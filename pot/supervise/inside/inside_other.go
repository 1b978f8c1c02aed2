//go:build !linux

// Package inside is the first process of a jail on Linux; on other systems it is empty.
package inside
