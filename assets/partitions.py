"""The partitions: days of sending in `SMS_TIMEZONE`, from `SMS_START_DATE` to today."""

from datetime import date

import dagster as dg

from pipeline.model.errors import SettingsError
from pipeline.model.settings import Settings, load_settings


def sent_dates(settings: Settings) -> dg.DailyPartitionsDefinition:
    """Return the partitions; today is one of them, as messages are being sent today."""
    return dg.DailyPartitionsDefinition(
        start_date=settings.start_date.isoformat(), timezone=settings.timezone.key, end_offset=1
    )


def settings_for_loading() -> Settings:
    """Return the settings, or the defaults where one is wrong: definitions load, and a run says what is wrong."""
    try:
        return load_settings()
    except SettingsError:
        return Settings.model_construct()


def days_of(context: dg.AssetExecutionContext) -> list[date]:
    """Return every day that this step is asked for: one run covers a range of partitions."""
    return sorted(date.fromisoformat(key) for key in context.partition_keys)
