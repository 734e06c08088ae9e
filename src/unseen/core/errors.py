"""The one exception that a user is meant to read, and messages in one line."""


class UserError(Exception):
    """An option, a file or another thing given by the user cannot be used.

    The message is one line that names the file or the field and says what to do. The command line prints the message
    and exits with 2; a caller of the library may catch the exception.
    """


def one_line(error: BaseException | str) -> str:
    """The message of an error without line breaks and repeated spaces; the name of its class if it has no message."""
    return " ".join(str(error).split()) or type(error).__name__
