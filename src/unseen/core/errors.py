"""The one exception that a user is meant to read."""


class UserError(Exception):
    """Something the user gave cannot be used.

    The message is one line that names the file or the field and says what to do;
    the command line prints it and exits with 2, a library caller may catch it.
    """
