"""The pages that WeCom shows while somebody logs in: who are you, and why not.

Pure: text in, HTML out, every value escaped. No script: they work wherever a login is tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Final, Literal

from deskwire.wecom.simulator.people import Person

Language = Literal["zh", "en"]
Picker = Literal["pick", "scan"]

_WORDS: Final[Mapping[str, Mapping[Language, str]]] = {
    "demo": {"zh": "演示", "en": "Demo"},
    "demo_why": {
        "zh": "这不是企业微信，是本机上的模拟。",
        "en": "This is not WeCom but a simulation on this machine.",
    },
    "pick": {"zh": "以谁的身份登录？", "en": "Log in as whom?"},
    "pick_why": {
        "zh": "真实的企业微信知道您是谁，不会询问。",
        "en": "The real WeCom knows who you are and does not ask.",
    },
    "scan": {"zh": "谁用手机扫码？", "en": "Whose phone scans the code?"},
    "scan_why": {
        "zh": "真实的企业微信在这里显示二维码。",
        "en": "The real WeCom shows a QR code here.",
    },
    "refused": {"zh": "无法登录", "en": "Cannot log in"},
    "appid": {
        "zh": "企业或应用不存在：请检查 corp id 与 agent id。",
        "en": "No such corp or app: check the corp id and the agent id.",
    },
    "state": {
        "zh": "state 只能是 1 到 128 个字母和数字。",
        "en": "state must be 1 to 128 letters and figures.",
    },
    "redirect_uri": {
        "zh": "redirect_uri 的域名不是应用的可信域名。",
        "en": "The host of redirect_uri is not the app's trusted domain.",
    },
    "out_of_scope": {"zh": "不在应用可见范围", "en": "outside the app's scope"},
    "unlicensed": {"zh": "无接口许可", "en": "no licence"},
    "inactive": {"zh": "未启用", "en": "not active"},
}


def language_of(accepted: str) -> Language:
    """From `Accept-Language`: what the browser names first; Chinese when it names nothing."""
    first = accepted.partition(",")[0].strip().lower()
    return "en" if first and not first.startswith(("zh", "*")) else "zh"


def initials(name: str) -> str:
    """As WeCom draws them: the last two characters of a Chinese name, else the first letters."""
    if name.isascii():
        return "".join(word[0] for word in name.split()[:2]).upper()
    return name[-2:]


def notes_on(person: Person) -> list[str]:
    """What is unusual about a person, as keys of words."""
    notes = {
        "out_of_scope": not person.is_in_scope,
        "unlicensed": not person.is_licensed,
        "inactive": person.status != 1,
    }
    return [note for note, holds in notes.items() if holds]


def picker_page(
    page: Picker,
    people: Iterable[Person],
    links: Mapping[str, str],
    language: Language,
    root: str,
) -> str:
    """Shown to a browser of which the simulator does not know whose it is. `links` by userid."""
    rows = "\n".join(_row(person, links[person.userid], language) for person in people)
    body = f"""<h1>{_word(page, language)}</h1>
<p class="quiet">{_word(f"{page}_why", language)}</p>
<ul class="people">
{rows}
</ul>"""
    return _page(_word(page, language), body, language, root)


def refused_page(why: str, language: Language, root: str) -> str:
    """`why` is one of `World.refusal`'s words."""
    body = f"""<h1>{_word("refused", language)}</h1>
<p role="alert">{_word(why, language)}</p>"""
    return _page(_word("refused", language), body, language, root)


def _row(person: Person, link: str, language: Language) -> str:
    notes = "".join(
        f'<span class="note">{_word(note, language)}</span>' for note in notes_on(person)
    )
    return f"""<li><a class="person" href="{escape(link)}">
<span class="avatar" aria-hidden="true">{escape(initials(person.name))}</span>
<span class="who"><span class="name">{escape(person.name)}{notes}</span>
<span class="quiet">{escape(person.department)} · {escape(person.position)}</span></span>
</a></li>"""


def _page(title: str, body: str, language: Language, root: str) -> str:
    return f"""<!doctype html>
<html lang="{"zh-CN" if language == "zh" else "en"}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · {_word("demo", language)}</title>
<link rel="stylesheet" href="{escape(root)}/inbox.css">
</head>
<body class="login">
<main>
<p class="demo"><strong>{_word("demo", language)}</strong> {_word("demo_why", language)}</p>
{body}
</main>
</body>
</html>
"""


def _word(key: str, language: Language) -> str:
    return escape(_WORDS[key][language])
