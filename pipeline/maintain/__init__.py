"""Looks at all rooms and tends them: what is due, audits, status, doctor, compaction, cleaning, forgetting, alerts.

What comes in: the lake, logs and settings. What goes out: findings, and smaller or repaired tables.
This is the only room that may import the steps.
"""
