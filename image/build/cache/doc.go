// Package cache remembers which image a build step led to. A key is the digest of the instruction, the parent image's id and
// the content that was copied; its value is the id of the image the step made. Entries are written only by builds of this
// user, after the step is complete, so a crafted image can never become a hit (CVE-2024-24557); an entry whose image is gone
// is a miss.
//
// The entries are small files that can be lost or removed at any time. The package also reads and writes the portable form:
// an OCI layout with the steps' images, for --cache-to and --cache-from. It runs in the client on the host.
package cache
