"""The shared store: Delta tables of Parquet files, and DuckDB over them.

What comes in: files of rows, and queries. What goes out: snapshots, rows, commits.
This room may not touch HTTP or any other room but `model`.
"""
