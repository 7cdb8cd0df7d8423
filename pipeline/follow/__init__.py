"""Asks for the ids that are due and records the answers.

What comes in: due ids of `sent_messages`. What goes out: rows of `delivery_reports` and `api_calls`.
This room does not decide what an answer makes of a message.
"""
