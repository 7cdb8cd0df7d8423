"""What log records are made of: names of fields, times, texts, answers of `sendSms`, reasons.

Belongs here: pure functions from logged values to ours. Does not belong here: reading files
(`log_files`, `log_formats`, `sent_logs`), the rules that a record must keep (`log_records`).
"""
