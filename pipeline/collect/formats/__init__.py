"""The formats of sent logs: from a file to its parsed records, one after the other.

Belongs here: opening, decompressing, lines, CSV rows, Parquet rows, and what is set aside because it
can't be parsed. Does not belong here: the meaning of fields (`logs`, `log_records`).
"""
