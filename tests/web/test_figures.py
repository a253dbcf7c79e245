from __future__ import annotations

import csv
import io

import httpx
import pytest

from deskwire.web.figures import COLUMNS, RANGE_MS_MAX, cell
from tests.flows.office import ANN, LINA, START, WANG
from tests.kit.documents import ROOT
from tests.web.site import Site, refusal


def rows(answer: httpx.Response) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))


async def test_the_export_is_a_spreadsheet_without_anybodys_words(site: Site) -> None:
    conv = await site.office.claimed()
    site.office.write("UPDATE person SET name = '=cmd()' WHERE person_id = 'wang'")
    await site.office.post(ANN, conv, "金丝雀")
    async with site.browser(LINA) as browser:
        answer = await browser.get(
            "/api/agent/export.csv", params={"from": START, "to": START + 1000}
        )

    (line,) = rows(answer)
    assert answer.content.startswith(b"\xef\xbb\xbf")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == (
        'attachment; filename="deskwire-20260101-20260101.csv"'
    )
    assert list(line) == list(COLUMNS)
    assert (line["conv_id"], line["last_agent"], line["opened_at"], line["rating"]) == (
        conv,
        "'=cmd()",
        "2026-01-01T00:00:00Z",
        "",
    )
    assert "金丝雀" not in answer.text
    assert "VPN" not in answer.text


async def test_the_export_is_a_supervisors_and_bounded_in_time(site: Site) -> None:
    path = "/api/agent/export.csv"
    async with site.browser(LINA) as lina, site.browser(WANG) as wang:
        answers = [
            await lina.get(path, params={"from": start, "to": end})
            for start, end in ((5, 5), (5, 4), (0, RANGE_MS_MAX + 1), (-1, 5))
        ]
        widest = await lina.get(path, params={"from": 0, "to": RANGE_MS_MAX})
        refused = await wang.get(path, params={"from": 0, "to": 1})

    assert [refusal(answer) for answer in answers] == [
        (422, "invalid", {"field": field}) for field in ("to", "to", "to", "from")
    ]
    assert (widest.status_code, rows(widest)) == (200, [])
    assert refusal(refused)[:2] == (403, "not_allowed")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\r=1", " =1", "＝1"])
def test_what_looks_like_a_formula_is_text(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("value, shown", [("a=b", "a=b"), (-5, "-5"), (None, ""), ("", "")])
def test_what_is_no_formula_stays_as_it_is(value: str | int | None, shown: str) -> None:
    assert cell(value) == shown


def test_the_page_names_every_column() -> None:
    page = (ROOT / "docs" / "http.md").read_text("utf-8")
    named = page.partition("Columns: ")[2].partition(".\n")[0]

    assert named.replace("\n", " ").split(", ") == list(COLUMNS)
