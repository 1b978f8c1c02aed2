// Package fetch gets an image from a URL or a path to a verified file.
//
// Cache is where a reader begins: Fetch downloads an image's files into a locked temporary
// directory, verifies its signature and its digest, and renames them into the cache. Location
// is an image outside of the cache, to verify or read by hand. Nothing here looks into the
// file: package store imports it.
package fetch
