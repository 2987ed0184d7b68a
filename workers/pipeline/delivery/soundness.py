"""Proof of a candidate's file: its interface is the upload's, and the runtime's own optimizations leave it what it is.

A runtime rewrites what it loads: it fuses integers, brings convolutions into other layouts, makes biases of additions.
Where that goes wrong the file is right, and what a user gets from it is not. So each candidate is run on one batch as a
user will and without optimizations, and an operator that makes the difference is found and left in float.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from app.contracts.problem import ProblemFound, quoted, refuse
from app.contracts.result import LayerReport
from workers.pipeline.delivery.candidates import Candidate
from workers.pipeline.soundness.answers import Answers, noise_share
from workers.pipeline.soundness.first_batch import FirstBatch
from workers.protocol.reporter import Reporter
from workers.quantization.executor.executor import Interface, RuntimeRefused

LEFT_IN_FLOAT = "ONNX Runtime's optimizations spoil it, so it stays in float."

_LESS = 0.1
"""Of its own error a candidate may differ between two ways to run it: 20 dB less."""

_NO_WORSE = 1.12
"""A candidate that comes as close to the float model with optimizations as without, to a decibel, is served well."""

_FAITHFUL = 1e-3
"""And so is one of 60 dB: float16 is rounded at other places with optimizations than without."""

_EQUAL = 1e-5

_MOST_CULPRITS = 3

Candidates = tuple[Candidate, ...]
Make = Callable[[frozenset[str]], Candidates]
"""Make them with these operators in float. Raises ProblemFound."""


@dataclass(frozen=True)
class Fault:
    reason: str
    is_fatal: bool
    """The file cannot be run."""


@dataclass(frozen=True)
class CandidateProof:
    first: FirstBatch
    interface: Interface
    """The upload's."""
    reporter: Reporter
    is_exact_here: bool = True
    """False for a file that this processor rounds otherwise than those that it is made for."""

    def sound(self, make: Make) -> Candidates:
        """Candidates that stand the proof. Raises ProblemFound where there are none."""
        left_out: frozenset[str] = frozenset()
        candidates = make(left_out)
        while (fault := self._fault(candidates)) is not None and len(left_out) < _MOST_CULPRITS:
            culprit = self._culprit(candidates[0].layers, make, left_out)
            if culprit is None:
                candidates = make(left_out)  # the search has written others in their place
                break
            left_out |= {culprit}
            candidates = make(left_out)
            self.reporter.warn("operator_left_in_float", f"{quoted(culprit)} stays in float: {fault.reason}")
        if fault is not None and fault.is_fatal:
            raise refuse("candidate_unsound", fault.reason)
        if fault is not None:
            self.reporter.warn("optimizations_change_answers", fault.reason)
        return tuple(_told(candidate, left_out) for candidate in candidates)

    def _culprit(self, layers: Sequence[LayerReport], make: Make, left_out: frozenset[str]) -> str | None:
        """The operator without which the first ones may stay: found by halving, all before it in float.

        None where everything in float is no better, or nothing would be left.
        """
        names = [layer.node for layer in layers if layer.quantized and layer.node not in left_out]
        faulty, sound = 0, len(names)
        while sound - faulty > 1:
            middle = (faulty + sound) // 2
            if self._is_faulty(make, left_out | set(names[:middle])):
                faulty = middle
            else:
                sound = middle
        culprit = names[faulty] if names else None
        return culprit if culprit is not None and not self._is_faulty(make, left_out | set(names[:sound])) else None

    def _is_faulty(self, make: Make, left_out: frozenset[str]) -> bool:
        try:
            return self._fault(make(left_out)) is not None
        except ProblemFound:  # nothing is left to quantize
            return True

    def _fault(self, candidates: Candidates) -> Fault | None:
        found: dict[str, Answers] = {}
        for candidate in candidates:
            try:
                session = self.first.target.open(candidate.path, threads=self.first.threads)
                _require_same_interface(session.interface, self.interface)
                found[candidate.path.name] = session.run(self.first.feeds)
                fault = self._between(candidate, found)
            except RuntimeRefused as error:
                return Fault(f"ONNX Runtime fails on {candidate.label}: {quoted(error.reason)}", is_fatal=True)
            if fault is not None:
                return fault
        return None

    def _between(self, candidate: Candidate, found: dict[str, Answers]) -> Fault | None:
        """Between what a user gets, the same without optimizations, and the portable form."""
        if not self.first.is_deterministic:
            return None
        served = found[candidate.path.name]
        ways = {"without its optimizations": self._plain(candidate)} if self.is_exact_here else {}
        if candidate.portable is not None:
            ways["in standard operators"] = found[candidate.portable.name]
        for how, other in ways.items():
            worse = None if other is None else self._worse_output(served, other)
            if worse is not None:
                return Fault(f"ONNX Runtime answers {worse} differently {how}.", is_fatal=False)
        return None

    def _plain(self, candidate: Candidate) -> Answers | None:
        try:
            plain = self.first.target.open(candidate.path, threads=self.first.threads, optimized=False)
            return plain.run(self.first.feeds)
        except RuntimeRefused:
            return None  # a user does not run it so

    def _worse_output(self, served: Answers, other: Answers) -> str | None:
        for name, expected in self.first.floats().items():
            if served[name].shape != other[name].shape or expected.shape != other[name].shape:
                continue  # how many rows there are is decided by rounding: judged elsewhere
            error, as_served = noise_share(expected, other[name]), noise_share(expected, served[name])
            between = noise_share(other[name], served[name])
            if between > max(_EQUAL, _LESS * error) and as_served > max(_FAITHFUL, _NO_WORSE * error):
                return f"{quoted(name)} ({between:.1e} of its signal apart, with an error of {error:.1e})"
        return None


def _require_same_interface(found: Interface, wanted: Interface) -> None:
    if found != wanted:
        differing = [f"{a} is {b}" for a, b in zip(wanted, found, strict=False) if a != b]
        detail = f"Inputs and outputs are not those of the model: {quoted('; '.join(differing) or 'one is missing')}."
        raise refuse("candidate_unsound", detail)


def _told(candidate: Candidate, left_out: frozenset[str]) -> Candidate:
    layers = tuple(
        layer.model_copy(update={"reason": LEFT_IN_FLOAT}) if layer.node in left_out else layer
        for layer in candidate.layers
    )
    return replace(candidate, layers=layers)
