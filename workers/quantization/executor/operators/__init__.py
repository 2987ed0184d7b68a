"""ONE table from (operator, since-opset) to a torch function, gathered from its families."""

from collections.abc import Mapping

from workers.quantization.executor.operators.activation import ACTIVATION
from workers.quantization.executor.operators.arithmetic import ARITHMETIC
from workers.quantization.executor.operators.entry import Entry, Key
from workers.quantization.executor.operators.indexing import INDEXING
from workers.quantization.executor.operators.integers import INTEGERS
from workers.quantization.executor.operators.logic import LOGIC
from workers.quantization.executor.operators.movement import MOVEMENT
from workers.quantization.executor.operators.normalization import NORMALIZATION
from workers.quantization.executor.operators.pooling import POOLING
from workers.quantization.executor.operators.products import PRODUCTS
from workers.quantization.executor.operators.reduction import REDUCTION
from workers.quantization.executor.operators.resize import RESIZE
from workers.quantization.executor.operators.shape import SHAPE

TABLE: Mapping[Key, Entry] = {
    **ACTIVATION,
    **ARITHMETIC,
    **INDEXING,
    **INTEGERS,
    **LOGIC,
    **MOVEMENT,
    **NORMALIZATION,
    **POOLING,
    **PRODUCTS,
    **REDUCTION,
    **RESIZE,
    **SHAPE,
}
