// Package host reads what this machine lets one account enforce.
//
// [Facts] is the short form that planning needs, made from the place limits/delegate has found, or, before anything was
// entered, from what would be found. [Probe] is the long form for moss info: sentences with remedies. It refuses to change
// anything: no scope is made, no process moved.
//
// It runs in host processes, in the initial user namespace of the account.
package host
