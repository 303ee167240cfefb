// Package imagetest lets tests of images run as uid 0 of a user namespace, as the worker does, whoever starts them. It is for tests
// only, starts a child of the test binary, and knows no store.
package imagetest
