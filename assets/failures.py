"""How failures read, in Dagster and on the command line: one line of our own words, not a stack of library frames."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import duckdb
from deltalake.exceptions import DeltaError
from sqlalchemy.exc import DBAPIError  # what Dagster's own storage raises

from pipeline.api.responses import mask_digits
from pipeline.model.errors import LakeError, RunFailed, SmsDeliveryError


@contextmanager
def readable_failures() -> Iterator[None]:
    """Turn the project's errors, and those of lake and disk, into Dagster failures that are not retried blindly."""
    try:
        with storage_failures():
            yield
    except SmsDeliveryError as error:
        cause = error.__cause__ if isinstance(error, LakeError) else None  # others may quote a request
        raise dg.Failure(description=one_line(error), allow_retries=False) from cause


@contextmanager
def storage_failures() -> Iterator[None]:
    """Turn what libraries say of a full disk or a lost folder into a `LakeError` of one line; bugs stay bugs."""
    try:
        yield
    except LakeError as error:
        raise LakeError(one_line(error)) from error
    except DBAPIError as error:
        raise RunFailed(f"DAGSTER_HOME: the run can't be recorded there: {error.orig}") from error
    except (OSError, duckdb.Error, DeltaError) as error:
        text = mask_digits(f"{type(error).__name__}: {one_line(error)}")
        raise LakeError(f"the lake or the disk: {text}") from error


def one_line(error: Exception) -> str:
    """Return an error's text without line breaks; DuckDB and Delta write several lines."""
    return " ".join(str(error).split())
