// Package sight holds what the confinement probe reports, as plain data that the probe prints as JSON and the tests read. It
// has no behaviour.
package sight
