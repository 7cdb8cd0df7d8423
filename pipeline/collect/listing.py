"""The sent logs of a lake: found by the settings' patterns, each with the name that is stored of it.

Belongs here: names of logs that hold phone numbers.
Does not belong here: patterns (`files`), what counts as a number (`model`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import date

from pipeline.collect.files import LogFile, find_log_files
from pipeline.lake.lake import Lake
from pipeline.lake.notes import forgotten_numbers, lake_key
from pipeline.model.hidden_keys import holds_hidden, stored_log_name
from pipeline.model.phone_numbers import NumberPolicy
from pipeline.model.settings import Settings, number_policy


def list_logs(days: Collection[date] | None, lake: Lake, settings: Settings) -> list[LogFile]:
    """List the logs that may hold messages of these days, or of any day, as `find_log_files` does.

    Raises:
        LakeError: the lake can't be read.
    """
    policy = replace(number_policy(settings), forgotten=forgotten_numbers(lake))
    return [_with_stored_name(file, policy, lake) for file in find_log_files(settings.sent_logs, days)]


def _with_stored_name(file: LogFile, policy: NumberPolicy, lake: Lake) -> LogFile:
    if not holds_hidden(file.label, policy):
        return file
    return replace(file, stored_name=stored_log_name(file.label, policy, lake_key(lake)))
