"""The code in our documents, which the tests run as it stands there."""

from __future__ import annotations

import re


def python_blocks(markdown: str) -> list[str]:
    """Return the Python programs of a document, or of a part of one, in their order."""
    return re.findall(r"^```python\n(.*?)^```$", markdown, re.MULTILINE | re.DOTALL)
