"""The API simulator: getReport over HTTP, and sent logs that agree with it.

What belongs here: the rules of the simulated world, its server, its faults, its sent logs.
What does not: anything that the pipeline itself needs; nothing here knows storage or Dagster.
"""
