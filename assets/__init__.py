"""The Dagster side: assets, checks, jobs, schedules, sensors, and the command line (`cli/`).

What comes in: Dagster's contexts, and arguments of commands. What goes out: calls of `pipeline`, and their results as
metadata, log lines and exit statuses. No rule about messages belongs here, and `pipeline` never sees a context.
"""
