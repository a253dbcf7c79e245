from __future__ import annotations

from pathlib import Path

import pytest

from tests.flows.office import Office
from tests.web.site import URL, Site, refusal

PAGES = [
    "/workbench",
    "/workbench/c/0199",
    "/workbench/nowhere/at/all",
    "/h5",
    "/h5/c/0199",
    "/h5/new",
    "/h5/history",
]


@pytest.fixture
def static(tmp_path: Path) -> Path:
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    for name in ("workbench", "h5"):
        (folder / f"{name}.html").write_text(f"<!doctype html><title>{name}</title>", "utf-8")
    (folder / "assets" / "h5-1a2b.js").write_text("export {};\n", "utf-8")
    (tmp_path / "secret.txt").write_text("secret", "utf-8")
    return folder


async def test_the_pages_are_served_under_every_address_they_have(
    office: Office, static: Path
) -> None:
    site = await Site.at(office, static=static)
    async with site.browser() as browser:
        answers = {path: await browser.get(path) for path in PAGES}
        root = await browser.get("/")
    await site.close()

    for path, answer in answers.items():
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache"), path
        assert path.split("/")[1] in answer.text
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert (root.status_code, root.headers["location"]) == (302, "/workbench")


async def test_built_files_never_change_and_nothing_else_is_handed_out(
    office: Office, static: Path
) -> None:
    site = await Site.at(office, static=static)
    async with site.browser() as browser:
        asset = await browser.get("/static/assets/h5-1a2b.js")
        outside = [
            await browser.get(path)
            for path in (
                "/static/../secret.txt",
                "/static/%2e%2e/secret.txt",
                "/static/..%2fsecret.txt",
                "/static//etc/passwd",
                "/static/assets/none.js",
                "/static/",
            )
        ]
    await site.close()

    assert (asset.status_code, asset.headers["x-content-type-options"]) == (200, "nosniff")
    assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert asset.headers["content-type"].startswith("text/javascript")
    assert {answer.status_code for answer in outside} == {404}


async def test_a_desk_without_built_pages_says_how_to_build_them(site: Site) -> None:
    async with site.browser() as browser:
        answers = [await browser.get(path) for path in PAGES]

    assert {answer.status_code for answer in answers} == {503}
    assert all("npm run build" in answer.text for answer in answers)


async def test_a_page_has_one_address(site: Site) -> None:
    async with site.browser() as browser:
        answer = await browser.get("/h5/c/1?p=2&q=3", headers={"host": "localhost:8000"})

    assert (answer.status_code, answer.headers["location"]) == (307, f"{URL}/h5/c/1?p=2&q=3")


async def test_no_path_sends_a_browser_elsewhere(site: Site) -> None:
    paths = ("//evil.test", "/h5//evil.test", "/\\evil.test", "/%2f/evil")
    async with site.browser() as browser:
        for path in paths:
            answer = await browser.get(f"{URL}{path}", headers={"host": "localhost:8000"})

            assert answer.headers.get("location", f"{URL}/").startswith(f"{URL}/"), path


async def test_a_page_that_is_not_there_is_not_found(site: Site) -> None:
    async with site.browser() as browser:
        answer = await browser.get("/nowhere")

    assert refusal(answer) == (404, "not_found", {})


async def test_health_says_whether_work_is_taken(site: Site) -> None:
    async with site.browser() as browser:
        live, ready = await browser.get("/health/live"), await browser.get("/health/ready")

    assert (live.status_code, live.json()) == (200, {"live": True})
    assert (ready.status_code, ready.json()) == (503, {"ready": False})  # nobody has started it
