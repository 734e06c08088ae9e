"""The command line: options, commands, exit codes, and what is printed."""
