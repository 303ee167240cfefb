package cli

// fast are the commands of the small program.
func fast() []Command {
	return []Command{
		runCommand, createCommand, execCommand, psCommand, logsCommand, startCommand, stopCommand, restartCommand, killCommand, rmCommand, waitCommand,
		attachCommand, versionCommand, pauseCommand, unpauseCommand, updateCommand,
	}
}
