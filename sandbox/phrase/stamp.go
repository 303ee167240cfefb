package phrase

// Stamp is how logs and events show a time: RFC 3339 with nine digits.
const Stamp = "2006-01-02T15:04:05.000000000Z07:00"
