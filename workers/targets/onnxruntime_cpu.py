"""ONNX Runtime on the CPU: QDQ models for its integer kernels."""

from collections.abc import Collection, Iterator
from pathlib import Path

import onnx
import onnx_ir as ir
import onnxruntime as ort

from workers.protocol.gathering import GraphWish
from workers.protocol.processor import cpu_has_vnni, cpu_model
from workers.quantization.executor.onnxruntime_session import OnnxRuntimeSession
from workers.quantization.passes.fuse_integer_matmul import fuse_integer_matmul
from workers.quantization.placement import Exclusions, Schemes, place_for_onnxruntime_cpu
from workers.quantization.scheme import UINT8_ACTIVATIONS, weight_scheme
from workers.targets.preparation import PASSES, Prepared, prepared_graph
from workers.targets.qdq_form import build
from workers.targets.target import Form, Numbers, RuntimeFacts, Session


class OnnxRuntimeCpu:
    name = "onnxruntime-cpu"

    def schemes(self, *, per_channel: bool) -> Schemes:
        return Schemes(UINT8_ACTIVATIONS, weight_scheme(per_channel=per_channel))

    passes = PASSES

    def prepare(
        self,
        model: onnx.ModelProto,
        folder: Path | None,
        wish: GraphWish,
        schemes: Schemes,
        *,
        without: Collection[str] = (),
    ) -> Prepared:
        exclusions = Exclusions.named(wish.op_types_to_exclude, wish.nodes_to_exclude)
        graph = prepared_graph(model, folder, equalization=wish.equalize, exclusions=exclusions, without=without)
        return self.place(graph, wish, schemes)

    def place(self, graph: ir.Model, wish: GraphWish, schemes: Schemes) -> Prepared:
        placement = place_for_onnxruntime_cpu(
            graph, schemes, op_types_to_exclude=wish.op_types_to_exclude, nodes_to_exclude=wish.nodes_to_exclude
        )
        return Prepared(graph, placement)

    def forms(self, prepared: Prepared, numbers: Numbers) -> Iterator[Form]:
        portable = build(prepared, numbers)
        yield Form(portable)
        fused = portable.clone()
        if fuse_integer_matmul(fused):
            yield Form(fused, "ort", "ONNX Runtime's form")

    def open(self, model: Path, *, threads: int, optimized: bool = True) -> Session:
        return OnnxRuntimeSession(model, threads=threads, optimized=optimized)

    def facts(self) -> RuntimeFacts:
        return RuntimeFacts("onnxruntime", str(ort.__version__), cpu_model(), cpu_has_vnni())
