"""Which calls are worked out on the host: those that are about shapes, so that no device is ever asked for a shape.

On a device the host runs ahead and only queues work. A shape that is itself computed on the device stops that: the host
must wait for the number. So what descends from Shape and Size alone is computed on the host, with what it meets:

1. A value is wanted on the host if a call reads it as a number, or if it goes into another wanted value.
   Shape and Size end the chain: they look at no values.
2. Shape and Size run on the host.
3. A call whose tensor inputs are all on the host, or constant, runs there, if one of them is no constant or its result
   is wanted there. Constants that it reads are kept on the host too.
4. Everything else runs on the device. If a number is wanted from there, the host waits: the graph depends on its data.
"""

from collections.abc import Collection, Sequence

from workers.quantization.executor.listing import Call

READS_NO_VALUES = frozenset({"Shape", "Size"})


def calls_on_host(calls: Sequence[Call], constants: Collection[str]) -> frozenset[int]:
    """The indices of the calls that run on the host; calls are in an order in which they can run."""
    wanted = _wanted_on_host(calls)
    resident: set[str] = set()
    chosen = set()
    for index, call in enumerate(calls):
        if _runs_on_host(call, resident, wanted, constants):
            resident.update(call.outputs)
            chosen.add(index)
    return frozenset(chosen)


def _wanted_on_host(calls: Sequence[Call]) -> frozenset[str]:
    wanted: set[str] = set()
    for call in reversed(calls):
        wanted.update(call.host_inputs())
        if call.operator not in READS_NO_VALUES and not wanted.isdisjoint(call.outputs):
            wanted.update(call.data_inputs())
    return frozenset(wanted)


def _runs_on_host(call: Call, resident: set[str], wanted: frozenset[str], constants: Collection[str]) -> bool:
    if call.operator in READS_NO_VALUES:
        return True
    data = list(call.data_inputs())
    if not all(name in resident or name in constants for name in data):
        return False
    return any(name in resident for name in data) or not wanted.isdisjoint(call.outputs)
