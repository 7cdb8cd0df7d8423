"""Derives `messages` from sent messages and answers, and the rate tables from `messages`.

What comes in: tables of the lake. What goes out: partitions of `messages` and of the four rate tables, and figures of
whole days. This room may not make a request, read a log or touch the published file.
"""
