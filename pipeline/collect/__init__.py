"""Reads sent logs into `sent_messages` and `rejected_records`.

What comes in: patterns of files. What goes out: rows of these two tables. This room makes no request.
"""
