"""Collect: sent logs to `sent_messages` and `rejected_records`.

Comes in: patterns of files. Goes out: rows of these two tables.
May not touch: HTTP, and the tables of later steps.
"""
