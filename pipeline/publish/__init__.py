"""Publishes the lake for people: the DuckDB file, the page and exports.

In: the lake's tables. Out: files that analysts and managers open, and the table `rate_publications`, which records
what was published. May not touch: any other table of the lake, HTTP.
"""
