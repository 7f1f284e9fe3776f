"""Measures the contrast of the texts, borders and focus ring of a page in a screenshot."""

from __future__ import annotations

from typing import Any

from tests.browser.page import Page

# Finds the texts, including the cross of the dialog, and the middle of each left border
# with some pixels around it.
FIND = """
const dialog = shadow.querySelector('dialog[open]'), found = [], range = new Range();
const add = (name, { x, y, width, height }) => found.push({ name, x, y, width, height });
for (const root of dialog ? [dialog] : [document.body, shadow]) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode()); ) {
    const { parentElement: parent } = node;
    if (!node.data.trim() || !parent.checkVisibility() || parent.closest('.in_progress .panel')) continue;
    range.selectNode(node);
    add(node.data, range.getBoundingClientRect());
  }
}
for (const each of shadow.querySelectorAll('.box, .dialog, .button, .close')) {
  if (!each.checkVisibility()) continue;
  const { x, y, width, height } = each.getBoundingClientRect();
  const border = { name: `border: ${each.className}`, x: x - 3, y: y + height / 2, width: 6, height: 1 };
  if (parseFloat(getComputedStyle(each).borderLeftWidth)) found.push(border);
}
return found;
"""

FOCUS = """
const each = [...shadow.querySelectorAll('.close, .button')].find((each) => each.checkVisibility());
if (!each) return [];
each.focus();
const { x, y, height } = each.getBoundingClientRect();
return [{ name: 'focus ring', x: x - 6, y: y + height / 2, width: 6, height: 1 }];
"""

# Returns the contrast of each place: between its darkest and its lightest pixel, by the formula of WCAG 2.
MEASURE = """
const [png, places, done] = arguments;
const light = (byte) => (byte <= 10 ? byte / 3294 : ((byte / 255 + 0.055) / 1.055) ** 2.4);
const luminance = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
createImageBitmap(new Blob([Uint8Array.from(atob(png), (each) => each.charCodeAt())])).then((image) => {
  const canvas = new OffscreenCanvas(image.width, image.height).getContext('2d');
  canvas.drawImage(image, 0, 0);
  const contrast = ({ x, y, width, height }) => {
    const { data } = canvas.getImageData(Math.floor(x), Math.floor(y), Math.ceil(width), Math.ceil(height));
    const all = [];
    for (let n = 0; n < data.length; n += 4) all.push(luminance(data.subarray(n, n + 3)));
    return (Math.max(...all) + 0.05) / (Math.min(...all) + 0.05);
  };
  done(places.map(contrast));
});
"""


def contrasts(page: Page) -> dict[str, float]:
    """Return the contrast of everything visible. The keys are texts, or names such as "focus ring"."""
    return _measured(page, page.run(FIND)) | _measured(page, page.run(FOCUS))


def _measured(page: Page, places: list[dict[str, Any]]) -> dict[str, float]:
    picture = page.driver.get_screenshot_as_base64()
    ratios = page.driver.execute_async_script(MEASURE, picture, places)
    return {place["name"].strip(): ratio for place, ratio in zip(places, ratios, strict=True)}
