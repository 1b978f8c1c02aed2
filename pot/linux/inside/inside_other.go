//go:build !linux

// Package inside is the first process of a jail on Linux; elsewhere it is empty.
package inside
