"""The taxonomy of reason codes: which there are, where they come from, and what to do about them."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.cleanse.reasons import REASONS
from rollout.connectors.reasons import Reason
from rollout.project.spec import Language
from rollout.report.messages import messages

OF_LOAD = (
    "appeared_since_plan",
    "changed_on_both_sides",
    "changed_since_plan",
    "neither_old_nor_new",
    "duplicate_in_target",
    "record_gone",
    "record_replaced",
    "key_not_stored",
    "filled_meanwhile",
    "adoption_ambiguous",
    "cluster_joined",
    "cluster_split",
    "parent_undecided",
    "parent_not_loaded",
    "outcome_unknown",
    "no_answer",
    "not_readable",
    "stored_differently",
    "unanswered",
)
"""What planning and loading find out by themselves."""
OF_PEOPLE = ("skipped_by_person", "abandoned_by_person")
"""What named persons decided."""
OF_UNDO = (
    "already_gone",
    "changed_since_load",
    "cannot_delete",
    "edited_since",
    "key_not_released",
    "linked_since",
    "links_unknown",
    "partly_undone",
    "still_linked",
    "still_there",
)
"""Why something that was loaded was not taken back, or not wholly; the undo's report lists it."""
QUEUE = (*(reason.value for reason in Reason if reason is not Reason.REFERENCED), *OF_LOAD, *OF_PEOPLE)
"""Codes of the queue of rejects; for each there is a hint."""


def reason_page() -> str:
    """The taxonomy as a Markdown page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield "# Reason codes"
    yield ""
    yield "Every row that is not loaded, or was not taken back, has one of these codes. The page is written from the"
    yield "code and the message catalogue (`rollout.report.reason_codes`); a test compares them. A connector may add"
    yield "codes of its own for what its target alone knows."
    sections = (
        ("Cleansing: the row is in quarantine, or remarked", tuple(REASONS), "advice"),
        ("The target refused the row", tuple(reason.value for reason in Reason), "hint"),
        ("Plan and load: conflict, waiting or unknown", OF_LOAD, "hint"),
        ("A named person decided", OF_PEOPLE, "hint"),
        ("Undo: kept, or not wholly taken back", OF_UNDO, ""),
    )
    for title, codes, advised in sections:
        yield ""
        yield f"## {title}"
        yield ""
        yield "| code | 含义 | 怎么办 | meaning | what to do |" if advised else "| code | 含义 | meaning |"
        yield "|---|---|---|---|---|" if advised else "|---|---|---|"
        for code in codes:
            cells = [cell for language in ("zh", "en") for cell in _told(language, code, advised)]
            yield f"| `{code}` | {' | '.join(cells)} |"
    yield ""


def _told(language: Language, code: str, advised: str) -> list[str]:
    texts = messages(language).texts
    meaning = [texts[f"reason.{code}"]]
    if advised == "advice":
        return [*meaning, texts[f"finding.cleanse.{code}.advice"]]
    return [*meaning, texts.get(f"reason_hint.{code}", "–")] if advised else meaning
