"""The service's objects as they travel: plain dictionaries with known keys. A newer service may send more keys."""

from lowbit.preparations import ImagePreparation, Preparation, TextPreparation
from lowbit.resources.administration import AuditEntry, Garbage, GarbageTotal, MadeToken, Tenant, Token
from lowbit.resources.envelope import Links, Notice, Page, RawProblem, Resource
from lowbit.resources.inspected import Column, Dataset, Estimate, Inspectable, Model, TargetCoverage, Tensor, Tokenizer
from lowbit.resources.jobs import (
    JobData,
    JobEstimate,
    JobRequest,
    Objective,
    Progress,
    RecipePreset,
    StageState,
    Validation,
)
from lowbit.resources.results import (
    Artifact,
    JobResult,
    Latency,
    Layer,
    LayerFigures,
    Metrics,
    OutputMetrics,
    Variant,
    VariantMetrics,
)
from lowbit.resources.uploaded import DatasetFormat, File, ModelFormat, Purpose

__all__ = [
    "Artifact",
    "AuditEntry",
    "Column",
    "Dataset",
    "DatasetFormat",
    "Estimate",
    "File",
    "Garbage",
    "GarbageTotal",
    "ImagePreparation",
    "Inspectable",
    "JobData",
    "JobEstimate",
    "JobRequest",
    "JobResult",
    "Latency",
    "Layer",
    "LayerFigures",
    "Links",
    "MadeToken",
    "Metrics",
    "Model",
    "ModelFormat",
    "Notice",
    "Objective",
    "OutputMetrics",
    "Page",
    "Preparation",
    "Progress",
    "Purpose",
    "RawProblem",
    "RecipePreset",
    "Resource",
    "StageState",
    "TargetCoverage",
    "Tenant",
    "Tensor",
    "TextPreparation",
    "Token",
    "Tokenizer",
    "Validation",
    "Variant",
    "VariantMetrics",
]
