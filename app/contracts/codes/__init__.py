"""The catalogue of problem codes. Codes are stable: clients branch on them. `docs/problems.md` explains each one."""

from app.contracts.codes.known_problem import KnownProblem
from app.contracts.codes.names import ProblemCode
from app.contracts.codes.of_data import DATA
from app.contracts.codes.of_jobs import JOBS
from app.contracts.codes.of_models import MODELS
from app.contracts.codes.of_requests import REQUESTS

__all__ = ["CATALOGUE", "KnownProblem", "ProblemCode"]

CATALOGUE: dict[ProblemCode, KnownProblem] = {**REQUESTS, **MODELS, **DATA, **JOBS}
