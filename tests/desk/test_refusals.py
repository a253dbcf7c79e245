from __future__ import annotations

from deskwire.desk.refusals import MEANINGS, Code, Refusal, Retry
from deskwire.web.errors import STATUS

# desk.md §7: status, codes with the keys of their detail, "again?".
WRITTEN = """
400 no               bad_request
401 after_login      login_required
403 no               not_allowed
404 no               not_found
409 decide_anew      already_taken{by} already_open{conv_id} wrong_state{status} closed
409 decide_anew      claim_first join_first own_conversation at_capacity offer_over
409 decide_anew      not_assignable{reason} stale_view{messages} version_changed{version}
409 decide_anew      recall_window_over already_rated command_id_reused
413 after_correction too_large{max}
415 after_correction type_not_allowed
422 after_correction invalid{field} note_required category_required
429 same_id          too_many{retry_after_s} queue_full
503 same_id          try_later{retry_after_s}
"""


def lines() -> dict[Code, tuple[int, Retry, tuple[str, ...]]]:
    found: dict[Code, tuple[int, Retry, tuple[str, ...]]] = {}
    for line in WRITTEN.strip().splitlines():
        status, retry, *codes = line.split()
        for code in codes:
            name, _, detail = code.rstrip("}").partition("{")
            found[Code(name)] = (int(status), Retry(retry), (detail,) if detail else ())
    return found


def test_every_code_has_the_status_the_retry_and_the_detail_of_its_line() -> None:
    table = {code: (STATUS[code], m.retry, m.detail) for code, m in MEANINGS.items()}

    assert table == lines()
    assert set(MEANINGS) == set(Code) == set(STATUS)


def test_a_refusal_speaks_in_a_sentence() -> None:
    assert all(meaning.message.endswith(".") for meaning in MEANINGS.values())
    assert Refusal(Code.CLOSED).message == "The conversation is closed."
