"""The formats of sent logs: from a file's bytes to frames of raw fields, a file per format.

Belongs here: decompressing, lines, JSON, CSV and Parquet, and rejects for what can't be parsed.
Does not belong here: the meaning of fields (`fields`, `records`).
"""
