// Package layer turns a layer's tar stream into a directory and a directory into a layer's tar stream. It knows no store
// and no compression; it works below one directory handle, name component by name component, and never follows a link.
//
// Every byte of a stream is hostile: names, links, devices, whiteouts, sizes and attributes are checked against Limits and
// refused by named errors. It runs in the worker inside the user namespace, where uid 0 is the user and the other ids are
// the subordinate range; what cannot be set there (owners with the single id, devices) is recorded through Owners.
package layer
