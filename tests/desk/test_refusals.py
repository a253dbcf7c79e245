from __future__ import annotations

from deskwire.desk.refusals import MEANINGS, Code, Refusal, Retry

# desk.md §7: "again?"
AGAIN = {
    Retry.NO: {"bad_request", "not_allowed", "not_found"},
    Retry.AFTER_LOGIN: {"login_required"},
    Retry.DECIDE_ANEW: {
        "already_taken", "already_open", "wrong_state", "closed", "claim_first", "join_first",
        "own_conversation", "at_capacity", "already_rated", "command_id_reused",
    },
    Retry.AFTER_CORRECTION: {"too_large", "type_not_allowed", "invalid"},
    Retry.SAME_ID: {"too_many", "queue_full", "try_later"},
}  # fmt: skip


def test_every_code_says_whether_to_try_again() -> None:
    said = {retry: {c.value for c in Code if MEANINGS[c].retry is retry} for retry in Retry}

    assert said == AGAIN


def test_a_refusal_speaks_in_a_sentence() -> None:
    assert all(meaning.message.endswith(".") for meaning in MEANINGS.values())
    assert Refusal(Code.CLOSED).message == "The conversation is closed."
