"""What a user can put right: shown as one line, never as a traceback."""


class UserError(Exception):
    """A request that cannot be carried out as things stand; the command exits with 1."""

    exit_code = 1


class UsageError(UserError):
    """A command line that does not make sense; the command exits with 2."""

    exit_code = 2
