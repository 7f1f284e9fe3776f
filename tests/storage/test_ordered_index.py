"""OrderedIndex is a sorted set of texts for concurrent readers and writers."""

from __future__ import annotations

import tempfile
import threading
import time
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ca_embed.storage._filesystem import ordered_index
from ca_embed.storage._filesystem.ordered_index import OrderedIndex
from ca_embed.storage._index_keys import due_at_of, due_prefix

SOON = 60.0


@pytest.fixture
def index(tmp_path, monkeypatch):
    """An empty index with short pages."""
    monkeypatch.setattr(ordered_index, "_MAX_PAGE_KEYS", 4)
    index = OrderedIndex(tmp_path)
    index.fill((), _soon())
    return index


def _soon():
    return time.monotonic() + SOON


@settings(max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.text("abé🦆\n\0", max_size=3))), st.text("abé🦆", max_size=3))
def test_it_is_a_sorted_set(changes, start):
    """After any sequence of `add` and `discard` it has the same keys as a set."""
    expected = set()
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(ordered_index, "_MAX_PAGE_KEYS", 4)
        index, other = OrderedIndex(Path(folder)), OrderedIndex(Path(folder))
        index.fill((), _soon())
        for adding, key in changes:
            (index.add if adding else index.discard)(key, _soon())
            (expected.add if adding else expected.discard)(key)
        for reader in (index, other):
            assert list(reader.ascending("")) == sorted(expected)
            assert list(reader.ascending(start)) == sorted(key for key in expected if key >= start)


def test_filling_replaces_everything(index, tmp_path):
    """`fill` removes old keys and old files, and the new keys can be changed."""
    for number in range(30):
        index.add(f"old{number}", _soon())
    files = len(list(tmp_path.iterdir()))
    index.fill((f"new{number:02}" for number in range(20)), _soon())
    index.discard("new03", _soon())
    assert list(index.ascending("")) == [f"new{number:02}" for number in range(20) if number != 3]
    assert len(list(tmp_path.iterdir())) < files + 10


def test_empty_pages_are_removed(index, tmp_path):
    """A queue that grows at one end and shrinks at the other leaves no files behind."""
    for number in range(100):
        index.add(f"{number:03}", _soon())
        if number >= 5:
            index.discard(f"{number - 5:03}", _soon())
    assert list(index.ascending("")) == [f"{number:03}" for number in range(95, 100)]
    assert len(list(tmp_path.iterdir())) <= 6


def test_readers_see_all_unchanged_keys_while_pages_are_split_and_removed(index, tmp_path):
    """A reader misses no key that stays, while a writer adds and removes others."""
    still = [f"{number:03}" for number in range(0, 100, 5)]
    for key in still:
        index.add(key, _soon())
    done = threading.Event()

    def write():
        for number in range(300):
            key = f"{number % 100:03}x"
            (index.discard if number % 200 >= 100 else index.add)(key, _soon())
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    reader = OrderedIndex(tmp_path)
    while not done.is_set():
        assert [key for key in reader.ascending("") if not key.endswith("x")] == still
    writer.join()


def test_a_page_that_is_split_under_a_reader_is_read_again(index, tmp_path, monkeypatch):
    """A reader with an older root does not take the lower half of a page for the whole page."""
    still = ["a", "b", "c", "d"]
    index.fill(still, _soon())
    reader = OrderedIndex(tmp_path)
    look = reader._root

    def split_after_reading_the_root():
        root = look()
        monkeypatch.undo()
        monkeypatch.setattr(ordered_index, "_MAX_PAGE_KEYS", 2)
        index.add("aa", _soon())
        return root

    monkeypatch.setattr(reader, "_root", split_after_reading_the_root)
    assert [key for key in reader.ascending("") if key != "aa"] == still


def test_a_page_costs_a_page(index, monkeypatch):
    """Reading a few keys reads a few files, independent of the number of keys."""
    index.fill((f"{number:03}" for number in range(400)), _soon())
    reads, read = [], ordered_index.checked_files.read
    monkeypatch.setattr(ordered_index.checked_files, "read", lambda path: reads.append(path) or read(path))
    assert list(islice(index.ascending("200"), 6)) == [f"{number}" for number in range(200, 206)]
    assert len(reads) <= 4


@given(st.lists(st.floats(allow_nan=False), min_size=2))
def test_times_sort_as_their_texts_do(times):
    """The texts of times sort as the times do, and can be turned back into them."""
    times = [time_ + 0.0 for time_ in times]
    assert sorted(times) == [due_at_of(prefix) for prefix in sorted(map(due_prefix, times))]
