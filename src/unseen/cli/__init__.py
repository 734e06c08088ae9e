"""The command line: options, commands, exit codes, and printed output."""
