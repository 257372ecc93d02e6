"""What is told to a request until it is sent, and what is left when nobody takes it any more."""

from __future__ import annotations

import asyncio

from treadle.generation.generate import Burst
from treadle.generation.serving.inbox import MOST_UNSENT, Inbox, Postman, TooSlowError


def burst(tokens: int) -> Burst:
    return Burst(0, (7,) * tokens, "x" * tokens)


def test_what_comes_after_a_client_has_gone_holds_nobody_up() -> None:
    async def gone() -> tuple[int, int]:
        postman = Postman(asyncio.get_running_loop())
        inbox = Inbox(postman)
        tell = postman.to(inbox, 0)
        tell(burst(5))
        await inbox.take(1)
        tell(burst(20))
        await asyncio.sleep(0)
        there = postman.behind
        tell(burst(30))  # on its way while the client goes
        inbox.close()
        await asyncio.sleep(0)
        return there, postman.behind

    assert asyncio.run(gone()) == (20, 0)


def test_a_client_that_is_waited_for_does_not_hold_up_engines() -> None:
    async def slow() -> list[int]:
        postman = Postman(asyncio.get_running_loop())
        inbox = Inbox(postman)
        found = []
        inbox.put(0, burst(9))
        with inbox.blocked():
            found.append(postman.behind)
            inbox.put(0, burst(4))
            found.append(postman.behind)
        found.append(postman.behind)
        await inbox.take(100)
        return [*found, postman.behind]

    assert asyncio.run(slow()) == [0, 0, 13, 0]


def test_too_much_becomes_an_error_in_its_place_and_stops_who_writes() -> None:
    async def flooded() -> tuple[list[object], int]:
        inbox, stopped = Inbox(Postman(asyncio.get_running_loop())), []
        inbox.on_overflow = lambda: stopped.append(1)
        for tokens in (5, MOST_UNSENT, 1):
            inbox.put(0, burst(tokens))
        return [told for _, told in await inbox.take(100)], len(stopped)

    told, stopped = asyncio.run(flooded())
    assert [type(one) for one in told] == [Burst, TooSlowError]
    assert stopped == 1
