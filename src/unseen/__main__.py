"""`python -m unseen`: the command line."""

from .cli.main import program

program()
