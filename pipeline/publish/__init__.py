"""Publishes the lake for people: the DuckDB file, the page and exports.

What comes in: the lake's tables. What goes out: files that analysts open. This room changes no table of messages.
"""
