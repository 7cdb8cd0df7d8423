"""Partitions and ranges of them: days of sending in `SMS_TIMEZONE`, from `SMS_START_DATE` to today.

What belongs here: Dagster's names for days. What does not: which days have work (`pipeline/maintain/due.py`).
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

import dagster as dg

from pipeline.model.errors import SettingsError
from pipeline.model.settings import Settings, load_settings

RANGE_START: Final = "dagster/asset_partition_range_start"
RANGE_END: Final = "dagster/asset_partition_range_end"
"""Tags of a run over a range of days; both ends are included."""
ONE_DAY: Final = "dagster/partition"
"""Tag of a run of one day."""
RECENT_DAYS: Final = 3
"""Days before today that are run and audited if none are named: the default of SMS_UNKNOWN_AFTER_HOURS."""


class SentDates(dg.DailyPartitionsDefinition):
    """Days by the calendar. Dagster asks its cron for one after the other, and a run lists all of them ten times."""

    def get_partition_keys(
        self, current_time: datetime | None = None, dynamic_partitions_store: Any = None
    ) -> Sequence[str]:
        """Return the days up to today, or up to a moment."""
        first, last = self.get_first_partition_key(), self.get_last_partition_key()
        if current_time or first is None or last is None:
            return super().get_partition_keys(current_time, dynamic_partitions_store)
        start = date.fromisoformat(first)
        count = (date.fromisoformat(last) - start).days + 1
        return [(start + timedelta(days=step)).isoformat() for step in range(count)]


def sent_dates(settings: Settings) -> SentDates:
    """Return the partitions. Today is one of them: messages are being sent today."""
    return SentDates(start_date=settings.start_date.isoformat(), timezone=settings.timezone.key, end_offset=1)


def settings_for_loading() -> Settings:
    """Return the settings, or the defaults if one is wrong: definitions load, and a run reports what is wrong."""
    try:
        return load_settings()
    except SettingsError:
        return Settings.model_construct()


def range_tags(first: date, last: date) -> dict[str, str]:
    """Return the tags of one run over a range of days."""
    return {RANGE_START: first.isoformat(), RANGE_END: last.isoformat()}


def range_of(tags: Mapping[str, str]) -> tuple[date, date] | None:
    """Return the first and last day that a run's tags name, None if they name none."""
    one = tags.get(ONE_DAY)
    first, last = tags.get(RANGE_START, one), tags.get(RANGE_END, one)
    return (date.fromisoformat(first), date.fromisoformat(last)) if first and last else None


def checked_range(settings: Settings, first: date, last: date, *, today: date) -> tuple[date, date]:
    """Return a range of days, both ends included, if each has a partition.

    Raises:
        SettingsError: they are not in order, before SMS_START_DATE or after today.
    """
    if not settings.start_date <= first <= last <= today:
        raise SettingsError(
            f"days {first} to {last}: must be in order, between {settings.start_date} (SMS_START_DATE) and "
            f"today, {today}"
        )
    return first, last


def days_of(context: dg.AssetExecutionContext) -> list[date]:
    """Return every day that a step is run for, in order: one run covers a range of partitions."""
    return sorted(date.fromisoformat(key) for key in context.partition_keys)
