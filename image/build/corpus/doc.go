// Package corpus reads Dockerfile cases, one directory each below testdata, and writes what an image is as text, so that
// builders can be compared.
//
//	NAME/Dockerfile   what is built, on the image "base" (busybox and a few files)
//	NAME/context/…    the build context, if there is one
//	NAME/options      command line options, one a line
//	NAME/want         the expected files, configuration and history; or "error: " and a part of the message
//	NAME/buildah      why buildah's result differs, where it does; its lines are the difference
//
// The package is for tests only; it builds nothing itself.
package corpus
