package engine

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
)

// The words of names that nobody chose: an adjective and the name of somebody whose work containers stand on.
var (
	adjectives = strings.Fields("able agile bold brave bright calm clever cosy eager fair fancy fond frank fresh gentle glad happy " +
		"hardy jolly keen kind lively lucid merry mild modest neat nimble noble patient plain polite proud quick quiet ready " +
		"serene sharp shy silent smart snug solid spry steady stoic strong sunny swift tidy vivid warm wise witty young")
	people = strings.Fields("babbage backus bartik boole cerf church codd dijkstra diffie engelbart floyd goldberg hamilton hellman hoare " +
		"holberton hopper johnson kahn kay kernighan kleene knuth lamport liskov lovelace mccarthy mcilroy merkle milner naur " +
		"noether perlis perlman pike postel ritchie rivest shannon spence stallman tarjan thompson torvalds turing wilkes wirth zuse")
)

// freeName makes up a name that no container has; the id decides in the end.
func (e *Engine) freeName(id string) string {
	for i := range 8 {
		n := adjectives[rand.IntN(len(adjectives))] + "_" + people[rand.IntN(len(people))]
		if i > 3 {
			n += strconv.Itoa(rand.IntN(100))
		}
		if _, err := os.Lstat(e.Dirs.Names() + "/" + n); err != nil {
			return n
		}
	}
	return "moss_" + id[:12]
}
