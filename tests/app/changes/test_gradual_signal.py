import asyncio

from app.changes.gradual_signal import AT_ONCE, GradualSignal

LONG = 30.0


async def _waiting(signal: GradualSignal, number: int, woken: list[int]) -> None:
    if await signal.wait(signal.told, seconds=LONG):
        woken.append(number)


def test_all_who_wait_are_woken_in_the_order_in_which_they_came() -> None:
    async def scene() -> None:
        signal, woken = GradualSignal(), list[int]()
        async with asyncio.TaskGroup() as tasks:
            for number in range(3 * AT_ONCE + 1):
                tasks.create_task(_waiting(signal, number, woken))
            await asyncio.sleep(0)
            await signal.tell()
        assert woken == list(range(3 * AT_ONCE + 1))

    asyncio.run(scene())


def test_others_get_their_turn_before_the_last_is_woken() -> None:
    async def scene() -> None:
        signal, woken = GradualSignal(), list[int]()
        async with asyncio.TaskGroup() as tasks:
            for number in range(10 * AT_ONCE):
                tasks.create_task(_waiting(signal, number, woken))
            await asyncio.sleep(0)
            telling = tasks.create_task(signal.tell())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert 0 < len(woken) <= 2 * AT_ONCE
            await telling

    asyncio.run(scene())


def test_what_was_told_during_the_look_is_not_missed() -> None:
    async def scene() -> None:
        signal = GradualSignal()
        told = signal.told
        await signal.tell()
        assert await asyncio.wait_for(signal.wait(told, seconds=LONG), timeout=1)

    asyncio.run(scene())


def test_who_hears_nothing_is_told_so_and_forgotten() -> None:
    async def scene() -> None:
        signal = GradualSignal()
        assert not await signal.wait(signal.told, seconds=0.01)
        assert not signal._waiting

    asyncio.run(scene())


def test_a_cancelled_telling_leaves_nobody_waiting() -> None:
    async def scene() -> None:
        signal, woken = GradualSignal(), list[int]()
        async with asyncio.TaskGroup() as tasks:
            for number in range(5 * AT_ONCE):
                tasks.create_task(_waiting(signal, number, woken))
            await asyncio.sleep(0)
            telling = tasks.create_task(signal.tell())
            await asyncio.sleep(0)
            telling.cancel()
        assert sorted(woken) == list(range(5 * AT_ONCE))

    asyncio.run(scene())
