"""The command `sms-delivery`: what a person types, and what is said on a terminal.

What comes in: arguments and settings. What goes out: runs of the job, lines of text, an exit status.
"""
