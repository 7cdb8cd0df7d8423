"""The Dagster side: assets, checks, resources, the job, and the command line.

What belongs here: translating Dagster's words into the library's. What does not: any logic (`pipeline`).
"""
