"""Models on disk: one ONNX file, or beyond protobuf's limit of 2 GB a file `x.onnx` with its tensors in `x.onnx.data`.

ModelFileError
|-- NotAnOnnxFile
|-- ExternalDataOutsideFolder   what a model reads must lie in its own folder, whoever wrote the model
|-- ExternalDataMissing
|-- ExternalDataTruncated       also: an offset or a length that contradicts the tensor
`-- ConstantsTooLarge
"""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships no types
from onnx_ir.serde import SerdeError

# protobuf refuses messages of 2^31 bytes; nodes, names and shapes need room beside the tensors
_LARGEST_FILE = 2**31 - 2**26

# Below this a tensor stays in the model file: shape inference and graph optimizers read small constants there.
_SMALLEST_EXTERNAL = 1024


class ModelFileError(Exception):
    pass


class NotAnOnnxFile(ModelFileError):
    pass


class ExternalDataOutsideFolder(ModelFileError):
    pass


class ExternalDataMissing(ModelFileError):
    pass


class ExternalDataTruncated(ModelFileError):
    pass


class ConstantsTooLarge(ModelFileError):
    pass


def load_model(path: Path) -> ir.Model:
    """The model, its external initializers mapped into memory and read only when they are used.

    requires: nobody changes the files while the model is in use
    Raises NotAnOnnxFile, ExternalDataOutsideFolder, ExternalDataMissing, ExternalDataTruncated.
    """
    # the folder that names the model, not the one that a link to it leads to
    return _mapped(_read(path), path.parent)


def from_message(message: onnx.ModelProto, folder: Path | None) -> ir.Model:
    """The same for a file that was parsed already. folder: of its external data; None: it has none.

    Raises NotAnOnnxFile, ExternalDataOutsideFolder, ExternalDataMissing, ExternalDataTruncated.
    """
    model = _understood(message, "The message")
    return model if folder is None else _mapped(model, folder)


def _mapped(model: ir.Model, named_folder: Path) -> ir.Model:
    folder = Path(os.path.realpath(named_folder))
    for tensor in _tensors(model):
        if isinstance(tensor, ir.ExternalTensor):
            _check_external(tensor, folder)
            tensor.base_dir = folder
    _bring_constants_in(model)
    return model


def data_file_of(path: Path) -> Path:
    """Where the tensors of a large model are kept."""
    return path.with_name(f"{path.name}.data")


def fits_one_file(model: ir.Model, *, largest_file_bytes: int = _LARGEST_FILE) -> bool:
    return sum(tensor.nbytes for tensor in _tensors(model)) <= largest_file_bytes


def is_mapped(model: ir.Model) -> bool:
    """Whether some weight, also of a subgraph, lies in a file of its own."""
    return any(isinstance(value.const_value, ir.ExternalTensor) for value in _initializers(model))


def self_contained(model: ir.Model) -> onnx.ModelProto:
    """The model's message with the content of every external tensor in it; the model object stays as it is.

    requires: `fits_one_file`
    """
    external = {v: v.const_value for v in _initializers(model) if isinstance(v.const_value, ir.ExternalTensor)}
    try:
        for value, tensor in external.items():
            value.const_value = _in_memory(tensor)
        return ir.to_proto(model)
    finally:
        for value, tensor in external.items():
            value.const_value = tensor


def save_model(model: ir.Model, path: Path, *, largest_file_bytes: int = _LARGEST_FILE) -> list[Path]:
    """Write `path`, and `<path>.data` when the tensors exceed `largest_file_bytes`; returns what was written.

    The model object keeps its tensors where they are. A name appears only once its content is complete and on the disk,
    the model's after its data's. When it replaces a model with external data, that model is gone from the moment its
    data is replaced until the new one appears: nobody reads one's graph with the other's tensors.
    Raises ConstantsTooLarge.
    """
    is_large = not fits_one_file(model, largest_file_bytes=largest_file_bytes)
    if is_large:
        _refuse_large_constants(model, largest_file_bytes)
    # in the same folder, because a rename is atomic within one file system only
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as temporary:
        written = Path(temporary, path.name)
        data = data_file_of(written)
        if is_large:
            ir.save(model, written, "protobuf", external_data=data.name, size_threshold_bytes=_SMALLEST_EXTERNAL)
        else:
            onnx.save_model(self_contained(model), written, "protobuf")
        _publish(written, data if is_large else None, path)
    return [path, data_file_of(path)] if is_large else [path]


def _read(path: Path) -> ir.Model:
    try:
        proto = onnx.load_model(path, format="protobuf", load_external_data=False)
    except (DecodeError, ValueError, TypeError) as error:
        raise _unreadable(path.name, error) from error
    return _understood(proto, path.name)


def _understood(message: onnx.ModelProto, name: str) -> ir.Model:
    if not message.HasField("graph"):  # as in an empty file, which protobuf takes for an empty message
        raise NotAnOnnxFile(f"{name} holds no graph.")
    try:
        return ir.from_proto(message)
    except (SerdeError, ValueError, TypeError) as error:
        raise _unreadable(name, error) from error


def _unreadable(name: str, error: Exception) -> NotAnOnnxFile:
    return NotAnOnnxFile(f"{name} is not a readable ONNX model: {str(error)[:200]}")


def _tensors(model: ir.Model) -> Iterator[ir.TensorProtocol]:
    """Every tensor, with those of subgraphs and functions: initializers and attributes."""
    yield from (v.const_value for v in _initializers(model) if v.const_value is not None)
    for _, attribute in _tensor_attributes(model):
        yield attribute.as_tensor()


def _initializers(model: ir.Model) -> Iterator[ir.Value]:
    for graph in model.graphs():
        yield from graph.initializers.values()


def _tensor_attributes(model: ir.Model) -> Iterator[tuple[ir.Node, ir.Attr]]:
    graphs: list[ir.Graph | ir.Function] = [model.graph, *model.functions.values()]
    for graph in graphs:
        for node in ir.traversal.RecursiveGraphIterator(graph):
            for attribute in list(node.attributes.values()):
                if attribute.type == ir.AttributeType.TENSOR and not attribute.is_ref():
                    yield node, attribute


def _bring_constants_in(model: ir.Model) -> None:
    """Read what attributes keep in external data: onnx-ir would write a reference to the old file."""
    for node, attribute in _tensor_attributes(model):
        tensor = attribute.as_tensor()
        if isinstance(tensor, ir.ExternalTensor):
            node.attributes[attribute.name] = ir.AttrTensor(attribute.name, _in_memory(tensor))


def _in_memory(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    return ir.Tensor(tensor.numpy().copy(), dtype=tensor.dtype, name=tensor.name)


def _check_external(tensor: ir.ExternalTensor, folder: Path) -> None:
    location = Path(tensor.location)
    name = f"{tensor.name} is in {location}"
    if location.is_absolute() or ".." in location.parts or "\0" in str(location):
        raise ExternalDataOutsideFolder(f"{name}; only names inside the model's folder are read.")
    if not Path(os.path.realpath(folder / location)).is_relative_to(folder):
        raise ExternalDataOutsideFolder(f"{name}, a link that leads out of the model's folder.")
    try:
        found = (folder / location).stat()
    except OSError as error:
        raise ExternalDataMissing(f"{name}, which is not beside the model.") from error
    if not stat.S_ISREG(found.st_mode):
        raise ExternalDataMissing(f"{name}, which is not a file.")
    # a second hard link can be any file of the same disk; onnx-ir refuses it too, but only when it reads
    if found.st_nlink > 1:
        raise ExternalDataOutsideFolder(f"{name}, a file with {found.st_nlink} hard links.")
    _check_extent(tensor, found.st_size)


def _check_extent(tensor: ir.ExternalTensor, size: int) -> None:
    offset = tensor.offset or 0
    needed = tensor.nbytes
    if offset < 0 or offset + needed > size or (tensor.length is not None and tensor.length != needed):
        what = f"{tensor.name} needs {needed} bytes from {offset} of {tensor.location}"
        raise ExternalDataTruncated(f"{what}, said to be {tensor.length}; the file has {size}.")


def _refuse_large_constants(model: ir.Model, largest_file_bytes: int) -> None:
    inline = sum(attribute.as_tensor().nbytes for _, attribute in _tensor_attributes(model))
    if inline > largest_file_bytes:
        raise ConstantsTooLarge(f"{inline} bytes are in Constant nodes, which stay in the file: lift_constants first.")


def _publish(written: Path, data: Path | None, path: Path) -> None:
    _flush(written)
    if data is not None:
        _flush(data)
        path.unlink(missing_ok=True)
        data.replace(path.with_name(data.name))
    written.replace(path)
    _flush(path.parent)


def _flush(path: Path) -> None:
    """Have the disk hold what was written, before a name says that it does."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def files_of(model: Path) -> tuple[Path, ...]:
    """The model's file, and that of its external data where it has one."""
    data = data_file_of(model)
    return (model, data) if data.exists() else (model,)
