// Package view turns the engine's values into Docker's JSON: names, types and order of fields as the Engine API has them,
// the fields that only releases before API 1.52 have included. It is the one door to github.com/moby/moby/api.
//
// It is pure: it asks nobody and prints nothing. What moss knows and Docker has no place for stands in a field Moss.
package view
