"""Recipes with a name."""

from app.contracts.recipes.dynamic import DynamicRecipe
from app.contracts.recipes.float16 import Float16Recipe
from app.contracts.recipes.names import PresetName
from app.contracts.recipes.recipe import AnyRecipe
from app.contracts.recipes.static import StaticRecipe

PRESETS: dict[PresetName, AnyRecipe] = {
    # one candidate, nothing to choose between
    "int8-fast": StaticRecipe(preset="int8-fast"),
    # four ranges from one pass; the evaluation data decides
    "int8-balanced": StaticRecipe(
        preset="int8-balanced", calibration_method="percentile", percentiles=(99.9, 99.99, 99.999, 100.0)
    ),
    # everything that costs calibration time but no time at inference, or less than it gives
    "int8-accurate": StaticRecipe(
        preset="int8-accurate",
        calibration_method="measured",
        equalize="auto",
        smoothquant_alpha="auto",
        rounding="gptq",
        bias_correction=True,
        runtime_form=True,
    ),
    "int8-dynamic": DynamicRecipe(preset="int8-dynamic"),
    "float16": Float16Recipe(preset="float16"),
}

PRESET_SUMMARIES: dict[PresetName, str] = {
    "int8-fast": "Static int8 with min-max ranges: one candidate, the shortest job.",
    "int8-balanced": "Static int8; four candidate ranges from one calibration pass, the best on your data is kept.",
    "int8-accurate": "Static int8 with smoothing, equalization, GPTQ rounding and bias correction: the best quality.",
    "int8-dynamic": "Weights in int8, ranges of activations found at run time: needs no representative data.",
    "float16": "A cast to float16: half the size, hardly any loss; not faster on CPUs.",
}
