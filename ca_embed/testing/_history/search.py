"""Finds out whether some order of the calls explains what they returned, for one record.

How it works
------------
A record is a register whose writes name the version they expect. Each call of a history becomes steps on
the records that it touches, and each step must have happened at one moment between its beginning and its
end. The search goes through the beginnings and ends in the order of time. It keeps all worlds that are
possible so far: what is stored, and which of the calls under way have already happened. When a step ends,
only the worlds survive in which it has happened; if it has not yet, calls under way are tried before it, in
every order. If no world is left, no order explains the history.

A write whose outcome no one knows may happen at any later moment, or never. Its step never ends.

This is the just-in-time linearization of Lowe ("Testing for linearizability", 2017). A record at a time is
enough, because a history is linearizable if it is so for each object (Herlihy and Wing, 1990).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from math import inf
from typing import NamedTuple, TypeAlias

from ca_embed.testing._history.calls import Call, Seen, Undo

Stored: TypeAlias = Seen | None

_MOST_WORLDS = 50_000


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What one call did, or saw, at one record.

    expects: for a write, the version that it replaces, 0 for none; None for a step that only looks.
    writes: what is stored after the write.
    shows: for a step that looks, the record that it has shown, if any.
    fits: for a step that looks, whether it may look at this. A lenient step also fits if the record is
        written meanwhile: a page need not show a record at the moment at which it changes its place.
    """

    call: Call
    began: float
    ended: float
    expects: int | None = None
    writes: Stored = None
    fits: Callable[[Stored], bool] | None = None
    lenient: bool = False
    shows: Stored = None


class World(NamedTuple):
    """One possibility.

    stored: what may be stored: last the present, before it what an undo may bring back.
    done: the writes under way that have happened, and will be acknowledged.
    used: the writes with an unknown outcome that have happened.
    saw: the steps under way that have looked.
    """

    stored: tuple[tuple[Stored, Step | None], ...]
    done: frozenset[Step] = frozenset()
    used: frozenset[Step] = frozenset()
    saw: frozenset[Step] = frozenset()

    def has(self, step: Step) -> bool:
        """Tell whether a step has happened."""
        return step in self.saw or step in self.done or step in self.used


class Undecided(Exception):
    """There are too many possibilities."""


def first_impossible(steps: Sequence[Step], undos: Sequence[Undo]) -> tuple[Step, Sequence[Stored]] | None:
    """Return the first step that no order explains, and what may have been stored then. None if all is well.

    Raises Undecided if there are too many possibilities.
    """
    search = _Search(steps, keeps_undone=bool(undos))
    for moment in _moments(steps, undos):
        if moment.undo is not None:
            search.begin_undo() if moment.begins else search.end_undo()
        elif moment.begins:
            search.begin(moment.step)
        else:
            before = search.worlds
            if not search.end(moment.step):
                return moment.step, list({world.stored[-1][0] for world in before})
    return None


class _Moment(NamedTuple):
    at: float
    order: int  # of equal times, beginnings come first: the calls may have happened in either order
    begins: bool
    step: Step
    undo: Undo | None


def _moments(steps: Iterable[Step], undos: Iterable[Undo]) -> list[_Moment]:
    nothing = Step(Call("", 0, "", (), 0, 0, None), 0, 0)
    moments = [_Moment(step.began, 0, True, step, None) for step in steps]
    moments += [_Moment(step.ended, 1, False, step, None) for step in steps if step.ended != inf]
    moments += [_Moment(undo.began, 0, True, nothing, undo) for undo in undos]
    moments += [_Moment(undo.ended, 1, False, nothing, undo) for undo in undos]
    moments.sort(key=lambda moment: moment[:2])
    return moments


class _Worlds:
    """Worlds, without those that another one makes superfluous.

    Of two that are equal otherwise, the one that has used fewer of the unknown writes is enough, because it
    may still use them; and the one in which more has been looked at.
    """

    def __init__(self, worlds: Iterable[World] = ()) -> None:
        self._known: defaultdict[tuple[object, frozenset[Step]], list[World]] = defaultdict(list)
        self.size = 0
        for world in worlds:
            self.add(world)

    def add(self, world: World) -> bool:
        """Add a world. Return whether it was new."""
        rivals = self._known[world.stored, world.done]
        if any(rival.used <= world.used and rival.saw >= world.saw for rival in rivals):
            return False
        rivals[:] = [rival for rival in rivals if not (world.used <= rival.used and world.saw >= rival.saw)]
        rivals.append(world)
        self.size += 1
        return True

    def __iter__(self) -> Iterator[World]:
        return (world for worlds in self._known.values() for world in worlds)


class _Search:
    def __init__(self, steps: Sequence[Step], *, keeps_undone: bool) -> None:
        self.worlds = [World(((None, None),))]
        self._undo_possible = False
        self._keeps_undone = keeps_undone
        self._looking: set[Step] = set()
        self._writing: defaultdict[int, dict[Step, object]] = defaultdict(dict)  # by the version they expect
        self._shown = {step.shows.digest for step in steps if step.shows}

    def begin(self, step: Step) -> None:
        if step.expects is not None:
            self._writing[step.expects][step] = self._kind(step)
            return
        self._looking.add(step)
        assert step.fits is not None
        self.worlds = [
            world._replace(saw=world.saw | {step}) if step.fits(world.stored[-1][0]) else world
            for world in self.worlds
        ]

    def end(self, step: Step) -> bool:
        """Keep the worlds in which the step has happened. Return whether there are any."""
        self.worlds = list(_Worlds(self._forget(world, step) for world in self._reached(step)))
        self._looking.discard(step)
        if step.expects is not None:
            del self._writing[step.expects][step]
        return bool(self.worlds)

    def begin_undo(self) -> None:
        self._undo_possible = True

    def end_undo(self) -> None:
        """Keep all worlds in which something was undone, beside those in which nothing was."""
        known = _Worlds(self.worlds)
        waiting = list(known)
        while waiting:
            world = waiting.pop()
            following = chain(self._undone(world), self._following(world, only_shown=True))
            waiting += [one for one in following if known.add(one)]
            if known.size > _MOST_WORLDS:
                raise Undecided
        self.worlds = list(known)
        self._undo_possible = False

    def _kind(self, step: Step) -> object:
        """Return what is equal for writes of which it is enough to try one: no one has seen which it was."""
        if step.ended != inf:
            return step
        if step.writes is None:
            return None
        if step.writes.digest in self._shown:
            return step
        return step.writes.user_id, step.writes.due_at

    def _reached(self, step: Step) -> Iterator[World]:
        """Yield the worlds in which the step has just happened, or had happened before."""
        known = _Worlds(self.worlds)
        waiting = list(known)
        while waiting:
            world = waiting.pop()
            if world.has(step):
                yield world
                continue
            following = chain(self._undone(world), self._following(world))
            waiting += [one for one in following if known.add(one)]
            if known.size > _MOST_WORLDS:
                raise Undecided

    def _following(self, world: World, *, only_shown: bool = False) -> Iterator[World]:
        """Yield the worlds after one more write."""
        present = world.stored[-1][0]
        tried: set[object] = set()
        for step, kind in self._writing[present.version if present else 0].items():
            if only_shown and not (step.writes and step.writes.digest in self._shown):
                continue
            if kind not in tried and not world.has(step):
                tried.add(kind)
                yield self._written(world, step)

    def _undone(self, world: World) -> Iterator[World]:
        """Yield the worlds in which the last writes are undone. None of them will be acknowledged."""
        stored = world.stored
        while self._undo_possible and len(stored) > 1:
            _, writer = stored[-1]
            if writer is None or writer.ended != inf:
                return
            stored = stored[:-1]
            yield self._looked_at(world._replace(stored=stored))

    def _written(self, world: World, step: Step) -> World:
        stored = (*world.stored, (step.writes, step)) if self._keeps_undone else ((step.writes, None),)
        if step.ended == inf:
            return self._looked_at(world._replace(stored=stored, used=world.used | {step}))
        return self._looked_at(world._replace(stored=stored, done=world.done | {step}))

    def _looked_at(self, world: World) -> World:
        """Let those that look see what has just been written."""
        present = world.stored[-1][0]
        saw = {step for step in self._looking if step.lenient or (step.fits and step.fits(present))}
        return world._replace(saw=world.saw | saw)

    def _forget(self, world: World, step: Step) -> World:
        """Forget a step that has ended. What it has written is acknowledged now, and cannot be undone."""
        if step.expects is None:
            return world._replace(saw=world.saw - {step})
        stored = world.stored
        writers = [writer for _, writer in stored]
        if step in writers:
            at = writers.index(step)
            stored = ((stored[at][0], None), *stored[at + 1 :])
        return world._replace(stored=stored, done=world.done - {step})
