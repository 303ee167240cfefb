// Package context gets what COPY and ADD read from: the caller's directory with its .dockerignore, a tar stream, a git
// repository, a file behind a URL.
//
// Everything that comes from elsewhere is hostile: an archive is unpacked by handle as the caller's own files, a git
// repository is fetched without hooks, file:// or ext:: (CVE-2022-39253) and its subdirectory cannot leave the checkout
// (CVE-2026-33748), a download has a limit and its checksum is verified before anything sees it.
//
// It runs in the client on the host, in the heavy program. Downloaded things lie in directories that the caller gives and
// removes.
package context
