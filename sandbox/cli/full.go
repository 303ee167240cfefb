//go:build !hot

package cli

import "strings"

// full are the commands that only the full program has.
func full() []Command {
	all := []Command{
		inspectCommand, inspectContainerCommand, inspectImageCommand, pullCommand, pushCommand, imagesCommand, rmiCommand, tagCommand,
		historyCommand, buildCommand, loginCommand, logoutCommand, saveCommand, loadCommand, infoCommand, completionCommand, completeCommand, aliasCommand, helpCommand,
		renameCommand, bootCommand, topCommand, statsCommand, portCommand, eventsCommand, containerPruneCommand, volumeCreateCommand, volumeListCommand,
		volumeInspectCommand, volumeRemoveCommand, volumePruneCommand, publishCommand, unpublishCommand,
	}
	all = append(all, diffCommand, cpCommand, exportCommand, commitCommand, systemDFCommand, systemPruneCommand, systemResetCommand, systemCheckCommand)
	all = append(all, imagePruneCommand, importCommand, searchCommand, manifestInspectCommand, storePublishCommand)
	all = append(all, serveCommand, envCommand)
	all = append(all, networkCommands()...)
	return withNouns(all)
}

// withNouns adds the nouns that some command of the program begins with.
func withNouns(all []Command) []Command {
	used := map[string]bool{}
	for _, c := range append(fast(), all...) {
		for _, name := range append([]string{c.Name}, c.Aliases...) {
			if noun, _, has := strings.Cut(name, " "); has {
				used[noun] = true
			}
		}
	}
	for _, n := range nouns() {
		if used[n.Name] {
			all = append(all, n)
		}
	}
	return all
}
