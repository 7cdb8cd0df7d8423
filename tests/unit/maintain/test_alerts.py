from __future__ import annotations

from pipeline.maintain.alerts import GAP, LASTING_GAP, Memory

NOW = 1_800_000_000.0
HOUR, DAY = GAP.total_seconds(), LASTING_GAP.total_seconds()


def told(memory: Memory, subject: str, *, at: float, lasts: bool) -> bool:
    if not memory.may_say(subject, now=at, lasts=lasts):
        return False
    memory.note_said(subject, now=at)
    return True


def test_a_subject_is_told_at_once_then_once_an_hour() -> None:
    memory = Memory(NOW)
    moments = [minutes for minutes in range(0, 180, 15) if told(memory, "run", at=NOW + 60 * minutes, lasts=False)]
    assert moments == [0, 60, 120]


def test_what_lasts_is_told_once_a_day_and_anew_once_it_was_good() -> None:
    memory = Memory(NOW)
    hours = [hour for hour in range(49) if told(memory, "check", at=NOW + HOUR * hour, lasts=True)]
    assert hours == [0, 24, 48]
    memory.note_good("check")
    assert told(memory, "check", at=NOW + 2 * DAY + HOUR, lasts=True)


def test_subjects_do_not_hold_each_other_back_and_what_is_held_back_is_counted() -> None:
    memory = Memory(NOW)
    assert told(memory, "one", at=NOW, lasts=False)
    assert told(memory, "two", at=NOW, lasts=False)
    assert not told(memory, "one", at=NOW + 1, lasts=False)
    assert not told(memory, "one", at=NOW + 2, lasts=False)
    assert memory.note_said("one", now=NOW + HOUR) == 2
    assert memory.note_said("one", now=NOW + 2 * HOUR) == 0


def test_what_was_said_survives_as_text_and_without_it_history_begins_now() -> None:
    memory = Memory(NOW)
    told(memory, "run", at=NOW, lasts=False)
    again = Memory.read(memory.text(), now=NOW + 99)
    assert again == memory
    assert Memory.read(None, now=NOW).since == NOW
