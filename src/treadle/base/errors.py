"""The one hierarchy of errors. A message names the thing, what is wrong, and the next step."""

from __future__ import annotations


class TreadleError(Exception):
    """Anything that the user can understand and act on; doors print it without a traceback."""

    exit_code = 1


class UsageError(TreadleError):
    """The request itself is wrong: an unknown name, a value out of range, a contradiction."""

    exit_code = 2


class NotFoundError(UsageError):
    """The named thing does not exist."""


class SettingsError(UsageError):
    """A settings file or flag is wrong; the message names file and line."""


class DataError(TreadleError):
    """Input that cannot be used, or stored data that is damaged."""


class WeightsError(TreadleError):
    """Weights do not fit: missing, unused, mismatched, or with a wrong hash."""


class NotReadyError(TreadleError):
    """Something must be done first; the message says what."""


class MissingExtraError(TreadleError):
    """An optional part is not installed; the message gives the command."""


class ResourceError(TreadleError):
    """The machine lacks something: memory, disk space, a compiler."""
