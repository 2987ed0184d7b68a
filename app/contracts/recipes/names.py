"""The names of presets, which every recipe carries."""

from typing import Literal

PresetName = Literal["int8-fast", "int8-balanced", "int8-accurate", "int8-dynamic", "float16"]
