"""The code in our documents, which the tests run as it stands there."""

from __future__ import annotations

import re


def python_blocks(markdown: str) -> list[str]:
    """Return the Python programs of a document, or of a part of one, in their order."""
    return re.findall(r"^```python\n(.*?)^```$", markdown, re.MULTILINE | re.DOTALL)


def code(markdown: str) -> str:
    """Return all code of a document, or of a part of one: its programs, and what is in backticks."""
    blocks = re.findall(r"^```\w*\n(.*?)^```$", markdown, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```.*?^```$", "", markdown, flags=re.MULTILINE | re.DOTALL)
    return "\n".join([*blocks, *re.findall(r"`([^`\n]+)`", rest)])
