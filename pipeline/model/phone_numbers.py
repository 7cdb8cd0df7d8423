"""What `SMS_NUMBERS` does to phone numbers before anything is stored.

What belongs here: reducing a number to digits; keeping, masking, hashing or dropping it; the one detector of numbers in
free text. What does not: the country of a number (`countries.py`), which fields hold numbers (`collect`, `follow`).
"""

from __future__ import annotations

import hmac
import html
import re
import unicodedata
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute

from pipeline.model.forgotten_numbers import ForgottenNumbers

Mode = Literal["keep", "mask", "hash", "drop"]

SHOWN_DIGITS = 4
"""Digits at the end of a number that `mask` leaves readable."""
SHORTEST_KEY: Final = 32
"""Characters of the shortest key of the hash: hexadecimal, 128 bits."""
_FEWEST_SIGNS: Final = 8
_FINGERPRINTED: Final = b"sms-delivery: fingerprint of SMS_NUMBERS_KEY"
MAX_TEXT = 500
"""Characters of free text that are stored."""
_pc: Any = pyarrow.compute  # its stubs know neither plain values as arguments nor what comes of them
SHORTEST: Final = 7
"""Fewest digits of a phone number: 3 to 6 are a short code."""
LONGEST: Final = 15
"""Most digits of a phone number, by E.164; longer runs of digits alone are ids."""
_OTHER_THAN_DIGITS = re.compile(r"[^0-9]+")
_TRUNK_ZERO: Final = r"^((?:[^0-9]*[0-9]){1,5}[^0-9(\[]*)[(\[] *0 *[)\]]"
"""A zero in brackets behind the calling code (`+49 (0) 151`) is dialled inside the country only."""
_PREFIX: Final = r"^00([1-9][0-9]{6,})$"
"""Before the calling code `00` is dialled, as `+` is."""
_OTHER_DIGITS: Final = (
    "\u00b2\u00b3\u00b9\u1369-\u1371\u19da\u2070\u2074-\u2079\u2080-\u2089\u2460-\u2468\u2474-\u247c\u2488-\u2490\u24ea"
    "\u24f5-\u24fd\u24ff\u2776-\u277e\u2780-\u2788\u278a-\u2792\U00010a40-\U00010a43\U00010e60-\U00010e68"
    "\U00011052-\U0001105a\U0001f100-\U0001f10a"
)
"""Digits of Unicode that `\\d` does not match: superscripts, digits in circles and the like."""
_DIGIT: Final = rf"[\d{_OTHER_DIGITS}]"
_ESCAPED = re.compile(r"(?:\\u[0-9A-Fa-f]{4})+|\\x[0-9A-Fa-f]{2}|&#[0-9]{1,7};|&#[xX][0-9A-Fa-f]{1,6};")
"""Characters as JSON and HTML escape them."""
_NAMED_SEPARATOR: Final = r"\\[bfnrtv]|&[A-Za-z]{2,8};"
_MONTH, _DAY_OF_MONTH = r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12][0-9]|3[01])"
_CLOCK: Final = (
    r"[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]{1,9})?)?(?: ?(?:Z|UTC|[+-][01][0-9]:?[0-5][0-9]))?"
)
_TIME: Final = (
    rf"(?:(?:19|20)[0-9]{{2}}(?:-{_MONTH}-{_DAY_OF_MONTH}|/{_MONTH}/{_DAY_OF_MONTH})(?:{_CLOCK})?(?![0-9A-Za-z]))"
)
"""A date by ISO 8601, with or without a time of day: no number is written so."""
_LONG_ID: Final = r"(?<![0-9])(?:(?!00)[0-9]{16,32}|00[0-9]{16,30})(?![0-9])"
"""Digits without a separator that are too many for a phone number, with or without a prefix `00`."""
_UUID: Final = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_COMPACT_TIME: Final = (
    rf"(?:19|20)[0-9]{{2}}{_MONTH}{_DAY_OF_MONTH}(?:[T_-]?(?:[01][0-9]|2[0-3])(?:[0-5][0-9]){{1,2}})?"
)
_OWN_ID: Final = (
    rf"(?<![0-9A-Za-z])(?:[0-9a-f]{{32}}|{_UUID}|(?=[0-9]*[a-f])[0-9a-f]{{8}}|{_COMPACT_TIME})(?![0-9A-Za-z])"
)
"""Ids of calls, runs and files, as this project and Dagster write them, and dates in names of logs (`20261127`)."""


def _detector(ids: str, *, ends_at: str = "") -> re.Pattern[str]:
    """Return the pattern of what may be a number, and of `ids`, which are none.

    Between digits may stand what is neither letter nor digit (blanks, dashes, brackets, marks that are not seen) and is
    not in `ends_at`.

    Nothing is given back once it matched (`*+`), so the time that it takes grows with the text's length alone.
    """
    between = rf"(?:[^\w\\&{ends_at}]|{_NAMED_SEPARATOR}|[_\\&])*+"
    digit = rf"(?!{ids})(?:{_TIME}|{_DIGIT})"
    return re.compile(rf"(?=[\d{_OTHER_DIGITS}a-f])(?:{digit}(?:{between}{digit})*+|(?P<id>{ids}))")


_IN_FOREIGN_TEXT = _detector(_LONG_ID)
_IN_ANY_TEXT = _detector("(?!)")
_TRUNK_ZERO_ANYWHERE = re.compile(r"[(\[]\s*0\s*[)\]]")
_IN_OWN_TEXT = _detector(f"{_OWN_ID}|{_LONG_ID}", ends_at=",:;=%")
"""Lines that this project writes have counts (`1,234,567`) and ids."""
_ONE_DIGIT = re.compile(_DIGIT)
_TIMES = re.compile(rf"{_TIME}(?:[\W_]+{_TIME})*+")
_WHOLE_TEXT = re.compile(rf"[\W_]*+(?!{_LONG_ID}){_DIGIT}(?:[\W_]*+{_DIGIT})*+[\W_]*+")
"""A text that is a number and nothing else."""
MAY_HOLD_NUMBER: Final = r"[^\x00-\x7f]|(?:[0-9][^0-9]*){7}"
"""Matches each text that may hold a number."""


@dataclass(frozen=True)
class NumberPolicy:
    """How phone numbers are stored.

    Attributes:
        mode: `keep`, `mask`, `hash` or `drop`.
        key: key of the HMAC, needed by `hash`, never shown.
        forgotten: numbers that are stored in no form, whatever the mode.

    Raises:
        ValueError: `hash` without a key.
    """

    mode: Mode = "keep"
    key: bytes = field(default=b"", repr=False)
    forgotten: ForgottenNumbers = field(default_factory=ForgottenNumbers)

    def __post_init__(self) -> None:
        if self.mode == "hash" and not self.key:
            raise ValueError("numbers are hashed with a key, and there is none")

    @property
    def fingerprint(self) -> str:
        """What tells two keys apart: 64 bits that say nothing else of a key that can't be guessed."""
        return hmac.digest(self.key, _FINGERPRINTED, "sha256").hex()[:16]


NO_NUMBERS: Final = NumberPolicy("drop")
"""What becomes of numbers that are older than `SMS_KEEP_NUMBERS_DAYS`."""


def key_fault(key: str) -> str | None:
    """Say why a key of the hash is too weak, None if nothing shows: with a key that is guessed all numbers are read."""
    if len(key) < SHORTEST_KEY:
        return f"must have at least {SHORTEST_KEY} characters, has {len(key)}"
    if len(set(key)) < _FEWEST_SIGNS:
        return f"must have at least {_FEWEST_SIGNS} different characters, has {len(set(key))}"
    return None


def digits_of(text: str) -> str | None:
    """Return the ASCII digits of `text` in their order, without a prefix `00`; None where it has none.

    So `0091 98563-21412`, `+91 (98563) 21412` and `919856321412` are one number.
    """
    digits = text
    if not text.isascii():
        digits = "".join(map(_ascii_digit, text))
    if not digits.isdigit():
        digits = _OTHER_THAN_DIGITS.sub("", re.sub(_TRUNK_ZERO, r"\1", digits))
    return (re.sub(_PREFIX, r"\1", digits) if digits.startswith("00") else digits) or None


def _ascii_digit(character: str) -> str:
    """Return a digit of any script as ASCII; other characters that are not ASCII as a blank."""
    digit = unicodedata.digit(character, None)
    return str(digit) if digit is not None else character if character.isascii() else " "


def treat_number(text: str | None, policy: NumberPolicy) -> str | None:
    """Return what is stored for the phone number `text`: None where it has no digit."""
    digits = digits_of(text) if text is not None else None
    if digits is None or policy.mode == "drop" or policy.forgotten.holds(digits):
        return None
    if policy.mode == "mask":
        return "*" * (len(digits) - SHOWN_DIGITS) + digits[-SHOWN_DIGITS:]
    return hmac.digest(policy.key, digits.encode("ascii"), "sha256").hex() if policy.mode == "hash" else digits


def treat_numbers(numbers: pa.Array[Any] | pa.ChunkedArray[Any], policy: NumberPolicy) -> pa.StringArray:
    """Return what is stored for each phone number, as `treat_number` does for one.

    Shape:  n texts or nulls -> n texts or nulls.
    """
    digits = digit_array(numbers)
    if policy.mode == "keep" and not policy.forgotten:
        return digits
    return pa.array([treat_number(each, policy) for each in digits.to_pylist()], pa.string())


def count_forgotten(numbers: pa.Array[Any] | pa.ChunkedArray[Any], policy: NumberPolicy) -> int:
    """Return how many of the numbers are forgotten ones."""
    if not policy.forgotten:
        return 0
    return sum(policy.forgotten.holds(digits or "") for digits in digit_array(numbers).to_pylist())


def digit_array(numbers: pa.Array[Any] | pa.ChunkedArray[Any]) -> pa.StringArray:
    """Return `digits_of` each text."""
    whole = numbers.combine_chunks() if isinstance(numbers, pa.ChunkedArray) else numbers
    texts: pa.StringArray = _pc.cast(whole, pa.string())
    if _pc.all(_pc.string_is_ascii(texts)).as_py() is False:
        return pa.array([None if text is None else digits_of(text) for text in texts.to_pylist()], pa.string())
    if _pc.all(_pc.ascii_is_decimal(texts)).as_py() is False:
        texts = _pc.replace_substring_regex(_pc.replace_substring_regex(texts, _TRUNK_ZERO, r"\1"), "[^0-9]+", "")
        texts = _pc.if_else(_pc.equal(texts, ""), None, texts)
    if _pc.any(_pc.starts_with(texts, "00")).as_py():
        texts = _pc.replace_substring_regex(texts, _PREFIX, r"\1")
    return texts


def treat_text(text: str | None, policy: NumberPolicy) -> str | None:
    """Return what is stored of a text that may be a phone number, such as a sender or an order id.

    A text that is a number as a whole is treated as one; numbers in other text are masked. With `keep` all but
    forgotten numbers stays.
    """
    if text is None or (policy.mode == "keep" and not policy.forgotten):
        return text
    if policy.mode == "keep":
        hidden = without_forgotten(text, policy.forgotten)
        return None if hidden != text and is_number(text) else hidden
    return treat_number(text, policy) if is_number(text) else _masked(text, policy)


def treat_texts(texts: pa.Array[Any] | pa.ChunkedArray[Any], policy: NumberPolicy) -> pa.Array[Any]:
    """Return what is stored of each text, as `treat_text` does for one."""
    whole = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    if policy.mode == "keep" and not policy.forgotten:
        return whole
    doubtful = _pc.fill_null(_pc.match_substring_regex(whole, MAY_HOLD_NUMBER), fill_value=False)
    if not _pc.any(doubtful).as_py():
        return whole
    exact = [treat_text(text, policy) for text in whole.filter(doubtful).to_pylist()]
    treated: pa.Array[Any] = _pc.replace_with_mask(whole, doubtful, pa.array(exact, whole.type))
    return treated


def is_number(text: str) -> bool:
    """Say whether a text is a phone number and nothing else."""
    digits = digits_of(text) or ""
    return SHORTEST <= len(digits) <= LONGEST and _WHOLE_TEXT.fullmatch(text) is not None and not _TIMES.fullmatch(text)


def mask_text(text: str, policy: NumberPolicy) -> str:
    """Return free text fit for storing: at most 500 characters, each digit of a phone number as `*`.

    With `keep` only those of forgotten numbers are hidden.
    """
    return _masked(text, policy)[:MAX_TEXT]


def _masked(text: str, policy: NumberPolicy) -> str:
    text = without_forgotten(text, policy.forgotten)
    return text if policy.mode == "keep" else mask_digits(text)


def without_forgotten(text: str, forgotten: ForgottenNumbers) -> str:
    """Hide the digits of forgotten numbers, and those beside them without a letter between; ids are not spared."""
    if not forgotten or not may_hold_number(text):
        return text
    plain = _ESCAPED.sub(_unescaped, text)

    def hidden(found: re.Match[str]) -> str:
        run = found[0]
        spellings = (run, _TRUNK_ZERO_ANYWHERE.sub("", run))
        is_held = any(forgotten.holds("".join(map(_digit_or_none, each))) for each in spellings)
        return _ONE_DIGIT.sub("*", run) if is_held else run

    masked = _IN_ANY_TEXT.sub(hidden, plain)
    return text if masked == plain else masked


def _digit_or_none(character: str) -> str:
    digit = unicodedata.digit(character, None)
    return "" if digit is None else str(digit)


def mask_digits(text: str, *, is_own: bool = False) -> str:
    """Hide each digit of what may be a phone number: 7 digits and more, whatever stands between them.

    Ids (16 to 32 digits without a separator) and dates by ISO 8601 stay, unless other digits stand beside a date. In
    lines that this project writes (`is_own`) its ids and counts (`1,234,567`) stay too.
    """
    if not may_hold_number(text):
        return text
    plain = _ESCAPED.sub(_unescaped, text)
    masked = (_IN_OWN_TEXT if is_own else _IN_FOREIGN_TEXT).sub(_hidden, plain)
    return text if masked == plain else masked


def _unescaped(found: re.Match[str]) -> str:
    """Return escaped letters and digits as they are, and blanks for other characters."""
    text = found[0]
    if text.startswith("&"):
        plain = html.unescape(text)
    else:
        halves = text.encode("ascii").decode("unicode_escape").encode("utf-16", "surrogatepass")
        plain = halves.decode("utf-16", "replace")
    return "".join(sign if sign.isalnum() else " " for sign in plain)


def may_hold_number(text: str) -> bool:
    """Say whether a text has as many digits as a phone number."""
    return len(_ONE_DIGIT.findall(text)) >= SHORTEST


def _hidden(found: re.Match[str]) -> str:
    text = found[0]
    if found["id"] or not may_hold_number(text) or _TIMES.fullmatch(text):
        return text
    return _ONE_DIGIT.sub("*", text)
