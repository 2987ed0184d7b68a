"""Calls as steps that are ready to run: attributes bound, and for each input the form in which it arrives.

A constant that is read on the host is bound to the step there and then, so that it is never fetched from a device.
"""

import functools
from collections.abc import Collection, Iterator
from typing import Any

import torch

from workers.quantization.executor.element_types import to_torch
from workers.quantization.executor.listing import Call, Listing
from workers.quantization.executor.operators.entry import GIVEN_BY_THE_PROGRAM
from workers.quantization.executor.residence import READS_NO_VALUES, calls_on_host
from workers.quantization.executor.schedule import Argument, Form, Step

HOST = torch.device("cpu")


def bind(listing: Listing, device: torch.device) -> tuple[Step, ...]:
    on_host = calls_on_host(listing.calls, listing.constants)
    resident = frozenset(name for index in on_host for name in listing.calls[index].outputs)
    steps = []
    for index, call in enumerate(listing.calls):
        runs_on = HOST if index in on_host else device
        function = functools.partial(call.entry.function, **_keywords(call, runs_on))
        forms = _forms(call, resident, runs_on_host=index in on_host)
        arguments = tuple(_argument(listing, name, form) for name, form in zip(call.inputs, forms, strict=True))
        steps.append(Step(call.node, call.operator, function, arguments, call.outputs, on_host=index in on_host))
    return tuple(steps)


def _keywords(call: Call, device: torch.device) -> dict[str, Any]:
    given = {"output_count": len(call.outputs), "device": device}
    asked = GIVEN_BY_THE_PROGRAM & call.entry.keywords
    return {**call.attributes, **{name: given[name] for name in asked}}


def _argument(listing: Listing, name: str | None, form: Form) -> Argument | None:
    if name is None:
        return None
    constant = listing.constants.get(name)
    if constant is None or form in {"as_it_is", "on_device"}:
        return Argument(name, form)
    return Argument(name, "literal", constant.tolist() if form == "numbers" else to_torch(constant))


def _forms(call: Call, resident: Collection[str], *, runs_on_host: bool) -> Iterator[Form]:
    """How each input arrives; `resident` are the values that are computed on the host."""
    for place, name in enumerate(call.inputs):
        if place in call.entry.numbers:
            yield "numbers"
        elif place in call.entry.on_host:
            yield "on_host"
        elif call.operator in READS_NO_VALUES or (name in resident) == runs_on_host:
            yield "as_it_is"
        else:
            yield "on_host" if runs_on_host else "on_device"
