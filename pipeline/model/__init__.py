"""Words that every room shares: settings, accounts, errors, tables, views, countries, phone numbers.

What comes in: the environment and `.env` (read by `settings` alone), the file of `SMS_ACCOUNTS` (`accounts`), and
`views.toml`.
What goes out: values. This room imports no other room and does no other I/O.
"""
