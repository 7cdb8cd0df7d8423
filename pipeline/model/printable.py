"""Text from elsewhere made fit to be shown: on a terminal, in logs, in Slack, in Markdown.

Belongs here: characters that a reader acts on instead of showing them. Does not belong here: phone numbers
(`phone_numbers`), HTML (the page's template engine), JSON, which escapes by itself.

An app id, a sender, a file's name or a platform's reason may hold escapes that clear a terminal, line breaks that make
lines of their own, marks that turn the direction of text, or words that call a whole channel.
"""

from __future__ import annotations

import re
from typing import Final

_ODD: Final = re.compile(r"[^ -~]")
_SLACK: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
"""The characters that Slack gives a meaning, and how it wants them written (api.slack.com, "Escaping text")."""
_CALLS_ALL: Final = re.compile(r"@(?=(channel|here|everyone|all)\b)", re.IGNORECASE)
_PUNCTUATION: Final = re.compile(r"[!-/:-@\[-`{-~]")
"""What a backslash takes the meaning from (CommonMark, "Backslash escapes")."""
_UNJOINED: Final = "@\N{WORD JOINER}"


def printable(text: object) -> str:
    r"""Return a text as one line, its control and format characters and line breaks written as `\x1b` or `\u202e`."""
    return _ODD.sub(lambda found: found[0] if found[0].isprintable() else _escape(found[0]), str(text))


def printable_lines(text: object) -> str:
    """Return a text of our own making with its line breaks, each line as `printable` gives it."""
    return "\n".join(map(printable, str(text).split("\n")))


def for_slack(text: object) -> str:
    """Return a text as Slack, or a chat like it, shows it: no link, no mention, nobody called."""
    return _CALLS_ALL.sub(_UNJOINED, printable(text).translate(_SLACK))


def for_markdown(text: object) -> str:
    """Return a text as Markdown that shows it: no link, no image, no tag, no cell of a table."""
    return _PUNCTUATION.sub(r"\\\g<0>", printable(text))


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
