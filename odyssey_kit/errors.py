"""Errors that a user can act on: each says what was got, what was expected and what to do next.

May import nothing of the package. The command line turns them into one line and an exit code.
"""

from __future__ import annotations

__all__ = ["DataError", "MissingDataError", "OdysseyError", "StudyError", "UnfinishedBlockError", "UsageError"]


class OdysseyError(Exception):
    """Base of every error that odyssey_kit raises on purpose."""

    exit_code = 2


class UsageError(OdysseyError, ValueError):
    """A name, option or combination that does not exist or cannot work."""


class StudyError(OdysseyError, RuntimeError):
    """A store, plan or published study that does not fit what was asked of it."""


class UnfinishedBlockError(StudyError):
    """A published study in its first steps: no block of draws is finished in every cell, so nothing compares yet."""


class DataError(OdysseyError, OSError):
    """A file of a data set is damaged, truncated or not the one that was expected."""

    exit_code = 3


class MissingDataError(DataError):
    """A data set is not here and could not be fetched."""
