"""All kinds of jobs. A new one is a file of this folder and a line here."""

from collections.abc import Mapping

from app.contracts.status import JobKind
from app.tables import Job
from workers.supervision.kinds.inspect_dataset import InspectDataset
from workers.supervision.kinds.inspect_model import InspectModel
from workers.supervision.kinds.kind import AnyKind
from workers.supervision.kinds.quantize import Quantize
from workers.supervision.kinds.verify_upload import VerifyUpload

KINDS: Mapping[JobKind, AnyKind] = {
    JobKind.QUANTIZE: Quantize(),
    JobKind.INSPECT_MODEL: InspectModel(),
    JobKind.INSPECT_DATASET: InspectDataset(),
    JobKind.VERIFY_UPLOAD: VerifyUpload(),
}


def kind_of(job: Job) -> AnyKind:
    return KINDS[JobKind(job.kind)]
