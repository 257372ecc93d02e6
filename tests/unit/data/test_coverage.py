"""The token ledger against a plain set of everything that was really a target."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.base.errors import DataError
from treadle.data.arrivals import ArrivalLoader
from treadle.data.coverage import Coverage, Piece, TokenLedger, merged, token_ledger
from treadle.data.order import PictureOrder, order_of


@settings(deadline=None, max_examples=60)
@given(data=st.data(), length=st.integers(1, 20))
def test_the_ledger_knows_exactly_which_targets_were_trained_whatever_was_read_between_feeds(
    data, length, arrived, real_targets
) -> None:
    """Feeds, passes of any extent, arrivals, and kills, which take the account back to an older state."""
    sizes: list[int] = []
    aside: list[int] = []
    account, seen, visits = Coverage(), set(), 0
    kept = (account, frozenset(seen), visits)
    for _ in range(data.draw(st.integers(1, 8))):
        sizes.append(data.draw(st.integers(0 if sizes else 1, 90)))
        aside.append(data.draw(st.integers(0, 5)))
        loader = arrived(sizes, length, held_out=aside)
        account = account.on(loader.pieces)
        what = data.draw(st.sampled_from(["pass", "arrivals", "kill", "keep", "feed"]))
        if what == "pass":
            first = data.draw(st.integers(0, 2 * loader.examples_per_epoch))
            last = first + data.draw(st.integers(1, loader.examples_per_epoch + 3))
            read = real_targets(loader.batch(first, last - first))
            account = account.with_pass(loader.order, [(first, last)], len(read))
            seen, visits = seen | set(read), visits + len(read)
        elif what == "arrivals":
            ready = ArrivalLoader(loader, account.whole, 2, replay=data.draw(st.sampled_from([0.0, 0.5])))
            slots = 2 * data.draw(st.integers(0, ready.steps))
            read = [target for slot in range(slots) for target in real_targets(ready.batch(slot, 1))]
            account = account.with_arrivals(*ready.read(0, slots))
            seen |= set(read)
        elif what == "keep":
            kept = (account, frozenset(seen), visits)
        elif what == "kill":
            account, seen, visits = kept[0], set(kept[1]), kept[2]
        account = Coverage.from_json(json.loads(json.dumps(account.to_json())))
        ledger = token_ledger(loader, account)
        ledger.check("this model")
        assert ledger.to_json() == {
            "in": sum(sizes) + sum(aside),
            "trained_once": len(seen),
            "trained_by_epoch": visits,
            "buffered": sum(sizes) - len(seen),
            "held_out": sum(aside),
        }


def test_passes_that_end_leave_a_short_account(arrived) -> None:
    loader = arrived([5_000], 10)
    account = Coverage().on(loader.pieces)
    slots = loader.examples_per_epoch
    for first in range(0, 3 * slots, 100):
        account = account.with_pass(loader.order, [(first, min(first + 100, 3 * slots))], 1_000)
    assert (account.whole, account.parts, account.spans) == (5_000, (), ())
    assert len(json.dumps(account.to_json())) < 250, "a pass that has ended is one number"


def test_a_part_of_a_pass_over_less_text_still_counts_after_more_has_come(arrived) -> None:
    before = arrived([300], 10)
    half = Coverage().on(before.pieces).with_pass(before.order, [(0, 15)], before.targets_between(0, 15))
    trained = token_ledger(before, half).trained_once
    after = arrived([300, 300], 10)
    ledger = token_ledger(after, half)
    assert (ledger.trained_once, ledger.buffered) == (trained, 600 - trained)
    rest = half.on(after.pieces).with_pass(after.order, [(0, after.examples_per_epoch)], 600)
    assert (rest.whole, rest.parts) == (600, ())


def test_a_text_that_was_cut_anew_waits_as_a_whole(arrived) -> None:
    loader = arrived([300, 40], 10)
    account = Coverage().on(loader.pieces).with_pass(loader.order, [(0, loader.examples_per_epoch)], 340)
    assert account.on(arrived([300, 40, 7], 10).pieces).whole == 340
    anew = account.on(arrived([330, 40], 10, cut="-less held out").pieces)
    assert (anew.whole, anew.by_epoch) == (0, 340)


def test_what_came_before_a_piece_that_was_cut_anew_stays_trained(arrived) -> None:
    loader = arrived([300, 200, 40], 10)
    account = Coverage().on(loader.pieces).with_pass(loader.order, [(0, 20)], loader.targets_between(0, 20))
    covered = account.covered()
    pieces = [*loader.pieces[:1], Piece("other", 180, 0), *loader.pieces[2:]]
    anew = account.on(pieces)
    assert anew.covered().tolist() == [[min(a, 300), min(b, 300)] for a, b in covered.tolist() if a < 300]
    assert account.on(pieces[:1]).on(loader.pieces).covered().max() <= 300


def test_numbers_that_do_not_add_up_are_an_error_that_names_them() -> None:
    with pytest.raises(DataError, match=r"260 came in, but 200 trained \+ 50 buffered \+ 4 held out are 254"):
        TokenLedger(total=260, trained_once=200, buffered=50, held_out=4).check("`bard`")


def test_a_coverage_that_reaches_beyond_the_stream_is_an_error(arrived) -> None:
    loader = arrived([100], 10)
    ledger = token_ledger(loader, Coverage(whole=120, marks=Coverage().on(loader.pieces).marks))
    with pytest.raises(DataError, match="does not add up"):
        ledger.check("`bard`")


def test_pictures_are_accounted_for_in_the_order_that_they_are_read_in() -> None:
    order = PictureOrder(50, seed=2)
    spans = order.spans(40, 60)
    expected = [*order.epoch(0)[40:], *order.epoch(1)[:10]]
    assert [begin for begin, _ in spans.tolist()] == expected
    assert (order_of(order.describe()).spans(40, 60) == spans).all()
    assert PictureOrder(0, seed=2).spans(0, 5).tolist() == []


def test_spans_that_touch_are_one() -> None:
    assert merged([(5, 9), (0, 3), (3, 5), (20, 21), (7, 8)]) == ((0, 9), (20, 21))
