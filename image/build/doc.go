// Package build makes images of Dockerfiles: Dockerfile → plan → execution.
//
// The plan is pure: which stages the target needs, what each stands on, which step has which number. Execution walks each
// needed stage in order, independent stages in parallel; a step is looked up in the cache and else done: metadata in this
// process, file work as a task for the worker inside the user namespace, commands by the Runner. Every step is an image with
// an id, as in Docker's classic builder, with its wording in the history.
//
// What a build needs of the rest of moss is declared here (Runner, Images, Trees, Worker) and implemented by the engine, so
// the package knows neither sandboxes nor networks nor the store's layout. It refuses what leaves the build: foreign syntax
// frontends, host devices, --security=insecure, --network=host unless the caller asked for it.
//
// It runs in the client on the host, in the heavy program. It prints nothing: progress is reported as Event values.
package build
