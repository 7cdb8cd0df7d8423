"""Words that every room shares: settings, accounts, errors, tables, views, countries, phone numbers.

What comes in: the environment, read by `settings` alone. What goes out: values. This room does no other I/O.
"""
