"""The account of tokens while a model trains: what was lost or skipped is not in it, and it goes with the weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from treadle.base.errors import DataError
from treadle.data.arrivals import ArrivalLoader
from treadle.data.coverage import Coverage, Piece, token_ledger
from treadle.data.loader import TokenLoader
from treadle.data.tokens import TokenStream, TokenStreams
from treadle.training.arrivals import arrivals_start
from treadle.training.callbacks.accounting import Accounting
from treadle.training.loop import Training
from treadle.training.schedules import Budget

LENGTH = 5


def loader_of(*sizes):
    """Windows of five over documents of these sizes; a tenth as many targets are held out."""
    ids = np.random.default_rng(3).integers(0, 7, sum(sizes)).astype(np.uint16)
    pieces = tuple(Piece(f"{number}", size, size // 10) for number, size in enumerate(sizes))
    held_out = TokenStream([ids[: sum(piece.held_out for piece in pieces)]], 0)
    train = TokenStream(np.split(ids, np.cumsum(sizes)[:-1]), 0)
    return TokenLoader(TokenStreams(train, held_out, 0, np.ones(7, np.uint16), 0, 0, 0, pieces), LENGTH, seed=1)


def account_of(checkpoint):
    return Coverage.from_json(checkpoint.document["callbacks"]["tokens"])


def test_passes_are_counted_each_time_and_what_was_trained_once_is_counted_once(bench):
    loader, account = loader_of(203), Accounting("bard")
    training = bench.training(Budget("epochs", 3), loader=loader, callbacks=[account])
    training.run()
    ledger = account.ledger(training)
    assert (ledger.total, ledger.trained_once, ledger.buffered, ledger.held_out) == (223, 203, 0, 20)
    assert ledger.trained_by_epoch == pytest.approx(3 * 203, abs=4 * LENGTH)


def test_a_stopped_run_goes_on_with_the_account_of_its_checkpoint(bench):
    loader = loader_of(400)
    steps = iter(range(100))
    first = bench.training(
        Budget("epochs", 2), loader=loader, callbacks=[Accounting("bard")], stop_requested=lambda: next(steps) > 5
    )
    kept = first.run().checkpoint
    assert 0 < token_ledger(loader, account_of(kept)).trained_once < 400
    account = Accounting("bard")
    second = bench.training(Budget("epochs", 2), loader=loader, callbacks=[account])
    second.run()
    whole = Accounting("bard")
    peace = replace(bench, path=bench.path / "in-peace").training(Budget("epochs", 2), loader=loader, callbacks=[whole])
    peace.run()
    assert account.ledger(second) == whole.ledger(peace)
    assert account.ledger(second).trained_by_epoch == whole.ledger(peace).trained_by_epoch


@pytest.mark.parametrize("checkpointed", [False, True])
def test_steps_that_were_taken_back_and_data_that_were_skipped_were_not_trained(bench, table_learner, checkpointed):
    loader, account, poisoned = loader_of(400), Accounting("bard"), []

    def poison(update):
        poisoned.append(update.step)
        return poisoned == [*range(1, 8)]  # the seventh step, once

    table_learner.poison = poison

    class Keeps(Accounting):
        name = "keeps"

        def on_step(self, training, result):
            if checkpointed and training.place.step == 4:
                training.request_checkpoint()

    keeps = Keeps("bard")
    training = bench.training(Budget("epochs", 1), loader=loader, learner=table_learner, callbacks=[account, keeps])
    training.run()
    skipped = training.skipped_examples
    assert skipped == (12 if checkpointed else 28)
    ledger = account.ledger(training)
    lost = loader.targets_between(28 - skipped, 28)
    assert lost - 4 * LENGTH <= ledger.buffered <= lost, "what the last step reads of the next pass may be among it"
    assert ledger.trained_once == 400 - ledger.buffered
    assert ledger.trained_by_epoch - ledger.trained_once <= 4 * LENGTH, "the last step may reach into the next pass"


def test_arrivals_go_on_from_the_newest_weights_at_a_held_rate(bench, table_learner):
    settings = bench.settings(warmup_steps=2)
    loader = loader_of(210)
    ready = ArrivalLoader(loader, 0, 4)
    account = Accounting("bard")

    def run(ready, account, latest):
        start = arrivals_start(latest, ready.steps, settings)
        training = Training(table_learner, ready, settings, bench.subject(), start, callbacks=[account])
        return training, training.run().checkpoint

    training, first = run(ready, account, None)
    assert (first.step, first.trunk, first.finished) == (10, True, True)
    assert [update.rate_scale for update in table_learner.updates] == [0.5, *[1.0] * 9]
    ledger = account.ledger(training)
    assert (ledger.trained_once, ledger.buffered, ledger.trained_by_epoch) == (200, 10, 0)
    more = loader_of(210, 30)
    rest = ArrivalLoader(more, account_of(first).on(more.pieces).whole, 4)
    assert (rest.waiting, rest.steps) == (40, 2)
    _, second = run(rest, Accounting("bard"), first)
    assert (second.step, account_of(second).arrived, account_of(second).whole) == (12, 240, 240)
    assert second.document["data"]["epochs"] == pytest.approx(0)
    assert table_learner.updates[-1].rate_scale == 1.0, "no second warm-up"


def test_arrivals_after_a_cool_down_warm_up_again(bench):
    cooled = bench.training(Budget("epochs", 1), loader=loader_of(400), callbacks=[Accounting("bard")]).run().checkpoint
    assert not cooled.trunk
    start = arrivals_start(cooled, 5, bench.settings())
    assert (start.schedule.warmup_from, start.place.step, start.trunk) == (cooled.step, cooled.step, True)
    assert start.place.epochs_before == pytest.approx(1, abs=0.1)


def test_a_learner_that_trained_on_something_else_is_found_out(bench, table_learner):
    class Forgetful(Accounting):
        def on_step(self, training, result):
            super().on_step(training, replace(result, targets=result.targets - 1))

    training = bench.training(
        Budget("steps", 4), loader=loader_of(400), learner=table_learner, callbacks=[Forgetful("bard")]
    )
    with pytest.raises(DataError, match=r"`bard` does not add up: the learner was trained on 38 targets .* hold 40"):
        training.run()
