"""Files with one record each: a line of JSON with the columns, then the bytes of the sealed document."""

from __future__ import annotations

import json
from pathlib import Path

from ca_embed.storage._base import SealedRecord
from ca_embed.storage._filesystem import checked_files


def write(path: Path, record: SealedRecord) -> None:
    """Write the record to the file. It is on the disk when this returns."""
    columns = {
        "registration_id": record.registration_id,
        "version": record.version,
        "user_id": record.user_id,
        "due_at": record.due_at,
    }
    checked_files.write(path, json.dumps(columns).encode() + b"\n" + record.document)


def read(path: Path) -> SealedRecord:
    """Return the record in the file. Raises FileNotFoundError or DamagedFile."""
    columns, _, document = checked_files.read(path).partition(b"\n")
    return SealedRecord(**json.loads(columns), document=document)
