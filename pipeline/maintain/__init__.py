"""Looks at all rooms and tends them: what is due, audits, status, doctor, compaction, cleaning, forgetting, alerts.

In: the lake, sent logs, settings, the published file. Out: findings, and a smaller or corrected lake. This is the only
room that may import the steps. May not touch: Dagster.
"""
