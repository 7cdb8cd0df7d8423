"""Derives `messages` and the rate tables from sent messages and answers.

What comes in: the lake's tables. What goes out: partitions of `messages` and of the four rate tables.
This room makes no request and reads no log.
"""
