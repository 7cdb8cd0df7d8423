"""The command `sms-delivery`.

What comes in: arguments and settings. What goes out: lines of text and an exit status. A command reads its arguments
(`main.py`) and calls one function: a run of the job (`run.py`), an operation on the lake (`operations.py`), the demo.
Only `run.py` and what uses it may import Dagster, which takes a second.
"""
