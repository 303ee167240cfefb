//go:build !hot

package cli

// full are the commands that only the full program has.
func full() []Command {
	return []Command{
		inspectCommand, inspectContainerCommand, inspectImageCommand, pullCommand, pushCommand, imagesCommand, rmiCommand, tagCommand,
		historyCommand, loginCommand, logoutCommand,
	}
}
