"""The browser itself: without the right fonts every picture of the desk would be boxes."""

from __future__ import annotations

from typing import Any

from tests.e2e.conftest import OpenPage

# Draws a character and gives back its pixels: two missing glyphs look the same, real ones do not.
DRAW = """
(text) => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 40, height: 40 });
  const brush = canvas.getContext("2d");
  brush.font = "32px sans-serif";
  brush.textBaseline = "top";
  brush.fillText(text, 2, 2);
  const pixels = brush.getImageData(0, 0, 40, 40).data;
  let coloured = false;
  for (let at = 0; at < pixels.length; at += 4) {
    coloured ||= pixels[at] !== pixels[at + 1];
  }
  return { width: brush.measureText(text).width, coloured, pixels: pixels.join() };
}
"""


def drawn(page: Any, text: str) -> dict[str, Any]:
    result: dict[str, Any] = page.evaluate(DRAW, text)
    return result


def test_chinese_is_drawn_with_real_glyphs(desktop: OpenPage) -> None:
    page = desktop()

    desk, work = drawn(page, "服"), drawn(page, "务")

    assert round(desk["width"]) == round(work["width"]) == 32, "install fonts-noto-cjk"
    assert desk["pixels"] != work["pixels"], "install fonts-noto-cjk"


def test_emoji_are_drawn_in_colour(desktop: OpenPage) -> None:
    assert drawn(desktop(), "🙏")["coloured"], "install fonts-noto-color-emoji"


def test_the_phone_is_a_touch_screen_inside_wecom(phone: OpenPage) -> None:
    page = phone()
    page.set_content('<meta name="viewport" content="width=device-width">')

    assert page.evaluate("[innerWidth, innerHeight]") == [390, 844]
    assert page.evaluate("navigator.maxTouchPoints") > 0
    assert "wxwork" in page.evaluate("navigator.userAgent")
