"""Collect: sent logs to `sent_messages` and `rejected_records`.

Comes in: patterns of files. Goes out: rows of these two tables; answers follow a corrected message (`lake.moves`).
May not touch: HTTP, and the other tables of later steps.
"""
