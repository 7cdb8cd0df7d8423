"""The shared store: Delta tables, and DuckDB over them.

What comes in: files of rows, and queries. What goes out: snapshots, rows, commits. This room knows no HTTP.
"""
