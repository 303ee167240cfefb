// Package inside is the worker of builds: it carries out tasks (package task) in a process inside the user namespace.
//
// The client's half, Worker, starts the role with the task as its message; the role's half, RunRole, mounts the task's
// stacks as overlays that are nowhere but in its descriptors, applies the task and answers with the result. The process has
// a private mount namespace, is root of the user namespace, executes nothing, and ends with its task.
//
// Directories of the caller (contexts, downloads) are opened by the client and passed as descriptors, so that no search
// permission on the way matters; as the machine's root they are mounted with mapped ids, since files that only root may read
// are a stranger's inside.
package inside
