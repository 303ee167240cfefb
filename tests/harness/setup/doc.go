// Command setup prepares a machine for the tests: as root it installs the Debian packages they use and makes their accounts; as
// an ordinary user it changes nothing and says what will be left out. `make test` runs it first. Running it again is cheap.
package main
