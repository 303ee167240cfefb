// Package course plays a course's command lines as its students type them: three accounts on one machine at the same time, each
// with the command docker that `moss alias` made, a registry on loopback that stands for Docker Hub, and images that look like
// those of the course. Answers are compared in form (columns, wording, exit code), since ids and times are nobody's to foresee.
//
// It holds scenarios only and runs as root, which becomes the accounts. What a single command does in every corner belongs to
// package tests.
package course
