"""How failures read in Dagster: one line of our own words, not a stack of a library's frames."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import duckdb
from deltalake.exceptions import DeltaError

from pipeline.answers import mask_digits
from pipeline.errors import SmsDeliveryError


@contextmanager
def readable_failures() -> Iterator[None]:
    """Turn the project's errors into Dagster failures that are not retried blindly."""
    try:
        yield
    except SmsDeliveryError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from None
    except (OSError, duckdb.Error, DeltaError) as error:
        text = mask_digits(f"{type(error).__name__}: {error}")
        raise dg.Failure(description=f"the lake or the disk: {text}", allow_retries=False) from error
