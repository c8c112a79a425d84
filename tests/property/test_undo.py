"""Taking writes back, against a diary that knows who wrote what: what nobody touched goes back, nobody's work is lost."""

from __future__ import annotations

from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.load.machine_undo import compare
from rollout.load.plan import Action
from rollout.load.undo import Deed, History, UndoScope, Written, chain, undo_row
from rollout.model.target import TargetRecord

FIELDS = ("a", "b", "c")
some_fields = st.sets(st.sampled_from(FIELDS), min_size=1)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("we write"), some_fields),
        st.tuples(st.just("a person types"), some_fields),
        st.tuples(st.just("undo"), st.integers(1, 4)),
    ),
    max_size=12,
)


class World:
    """One record, the journal's lines about it, and for each field the diary: (who wrote it, value), oldest first."""

    def __init__(self) -> None:
        self.fresh = (str(n) for n in count())
        self.number = count(1)
        self.held: dict[str, str] | None = {name: next(self.fresh) for name in FIELDS}
        self.diary = {name: [("load", value)] for name, value in self.held.items()}
        self.lines = [Written("load", Deed.CREATED, "M1", after=dict(self.held))]

    def write(self, names: set[str]) -> None:
        plan, before = f"plan{next(self.number)}", dict(self.held)
        for name in names:
            self._put(name, plan)
        self.lines.append(Written(plan, Deed.UPDATED, "M1", frozenset(names), before, dict(self.held)))

    def type(self, names: set[str]) -> None:
        for name in names:
            self._put(name, "person")

    def _put(self, name: str, who: str) -> None:
        self.held[name] = next(self.fresh)
        self.diary[name].append((who, self.held[name]))

    def undo(self, depth: int) -> None:
        """Take back the last ``depth`` of our writes that still stand, and see that it is what the diary says."""
        plans = frozenset(line.plan_id for line in chain(self.lines).standing[-depth:])
        scope = UndoScope(plans, through=False, can_delete=True, can_tell_links=True)
        now = TargetRecord("account", "k", "M1", dict(self.held))
        row = undo_row(History("k", "s:1", tuple(self.lines)), scope, now)
        touched = any(who == "person" for written in self.diary.values() for who, _ in written)
        if "load" in plans and not touched:
            assert row.action is Action.DELETE
            self.held = None
            return
        assert row.action in (Action.RESTORE, Action.KEEP)
        assert (row.reason_code == "edited_since") is ("load" in plans)
        self._go_back(row, plans)
        wanted = {name: self._wanted(name, plans - {"load"}) for name in FIELDS}
        assert self.held == wanted

    def _go_back(self, row, plans) -> None:
        before = dict(self.held)
        fields = compare(row.new, row.old, self.held)
        self.held |= fields.ours
        if row.action is Action.RESTORE and (fields.ours or fields.back or not fields.others):
            self.lines.append(
                Written("undo", Deed.RESTORED, "M1", frozenset(fields.ours), before, fields.ours, took_back=plans)
            )

    def _wanted(self, name: str, plans: frozenset[str]) -> str:
        """What the field holds once these writes are gone from above whatever else was written."""
        written = self.diary[name]
        while written[-1][0] in plans:
            written.pop()
        return written[-1][1]


@settings(max_examples=400, deadline=None)
@given(steps)
def test_undo_takes_back_what_we_wrote_and_nothing_else(done):
    world = World()
    for what, how in done:
        if what == "we write":
            world.write(how)
        elif what == "a person types":
            world.type(how)
        else:
            world.undo(how)
        if world.held is None:
            return
