// Package archive writes images into tar files and reads them from there: save, load, import. A file written here is an OCI
// layout and a Docker archive at once, as Docker's own since version 25; both kinds are read, from any tool, compressed or not.
//
// Names in an archive are keys of a map and never file names. It runs outside of the user namespace, in the heavy program;
// trees are made by the store's Worker.
package archive
