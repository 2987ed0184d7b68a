"""What users may call their jobs, models, data sets, keys and tenants."""

from typing import Annotated

from pydantic import Field

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
