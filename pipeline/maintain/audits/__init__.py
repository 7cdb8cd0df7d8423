"""Audits of what a run left: each runs queries of `sql/checks/` that return bad rows, and judges how bad they are.

In: the lake, the published file, the days of a run. Out: findings. May not touch: the lake's files, HTTP, Dagster
(`assets/checks.py` shows findings there). `registry` lists the audits; each module holds those of the asset it is
named after, `messages` those of `sent_messages`, too. An audit looks at the days of the run, or at what is small or
open, so its cost does not grow with the lake. It skips a day on which another run is at work: a run under way, a
`rebuild` or a `forget` turns no audit red.
"""
