"""Hostile values: each does harm where something takes it for more than text."""

from __future__ import annotations

from typing import Final

SQL: Final = ("'; DROP TABLE messages; --", "' OR 1=1 --", "x\"); COPY (SELECT 1) TO '/tmp/x'; --", "$now", "?")
HTML: Final = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "&lt;b&gt;",
    "<!--",
    "javascript:0",
)
TERMINAL: Final = ("\x1b[2J\x1b[H", "\x1b]0;gone\x07", "\x9b31m", "a\rb", "a\nsms-delivery: done", "\x08\x08\x08")
UNICODE: Final = ("abc\u202efdp.exe", "zero\u200bwidth", "two\u2028lines", "\ufeffmark", "٤٩١٧٠١١١٢٢٢", "ﬁ𝟜𝟡")
CHAT: Final = ("<!channel>", "<@U123>", "@here", "<https://evil.example|click>", "*bold* `code`")
SHEETS: Final = ('=cmd|"/c calc"!A1', "+1+1", "@SUM(A1)", "-2+3")
PATHS: Final = ("../../etc/passwd", "..\\..\\x", "/dev/null", "~root", "file:///etc/passwd")
FORMATS: Final = ("%s%n%x", "{0.__class__}", "${HOME}", "{{7*7}}", "{% raw %}", "$(id)", "`id`")
MARKDOWN: Final = ("![x](https://evil.example/x.png)", "[x](javascript:alert(1))", "| a | b |", "# head")
JSON: Final = ('"}],"x":[{"', "\\", '\\"', "null", "[]", "{}")
LONG: Final = ("x" * 5_000, "é" * 5_000)

VALUES: Final = (*SQL, *HTML, *TERMINAL, *UNICODE, *CHAT, *SHEETS, *PATHS, *FORMATS, *MARKDOWN, *JSON, *LONG)
BROKEN: Final = ("a\0b", "\ud800", "\udcff")
"""What is not stored as it is: NUL and half surrogates are dropped."""
LABEL_NAMES: Final = (
    "<script>alert(1)</script>",
    "'; DROP TABLE messages; --",
    'x"]) [y',
    "![x](https://evil.example/x.png)",
)
"""Names of fields; the setting that lists them is split at commas."""
FILE_NAMES: Final = tuple(v for v in VALUES if "/" not in v and not v.startswith(".") and len(v.encode()) < 100)
"""Values that can be names; `*` matches none that begins with a dot."""
