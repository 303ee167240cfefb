// Package registry speaks with image registries: pull, push, login, search, tags and manifest inspect. It is the one door to
// go-containerregistry, which does the handshake, the tokens, the manifests and the uploads; downloads are ranged requests of our
// own, so that a broken connection resumes where it stopped.
//
// It keeps no image. What arrives goes to a [Sink], what leaves comes from a [Source], what happens is told to a [Progress]; the
// engine implements all three. It does not unpack, does not choose where things are stored and prints nothing.
//
// What it refuses, whatever a registry says:
//
//   - bytes that do not hash to the digest they were asked by, manifests that can be read in two ways, documents beyond the
//     limits of package image;
//   - to send credentials to another host than the one they belong to, or in the clear where the user has not declared the registry
//     insecure;
//   - to call an address of another class (loopback, link-local, private) than the registry's own because the registry named it: in a
//     realm, a redirect, an upload location or the URL of a foreign layer.
//
// It runs in the process of the command or server that wants the image, on the host, outside of all namespaces; it needs the network
// and, for the credentials, the files in ~/.docker. It belongs to the heavy program: never import it from what starts containers.
package registry
