"""Queries, one a file, named for the table that each makes."""
