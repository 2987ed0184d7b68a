"""Any bytes as labels.jsonl or labels.csv: a problem with a code and a line, or a label for each name.

The first byte says which of the two: a `{`, as rows in JSON begin, or anything else.
"""

from app.contracts.problem import ProblemFound
from workers.ingestion.data.images_label_file import read_labels


def one_input(data: bytes) -> None:
    entry = "labels.jsonl" if data.startswith(b"{") else "labels.csv"
    try:
        labels = read_labels(data, entry)
    except ProblemFound as found:
        problem = found.problem
    else:
        text = data.decode("utf-8-sig")
        assert all(name and type(label) in {int, str} and label != "" for name, label in labels.items())
        assert len(labels) <= text.count("\n") + text.count("\r") + 1
        return
    assert problem.code == "labels_invalid"
    assert len(problem.detail) < 1000


if __name__ == "__main__":
    from tests.fuzz.fuzzing import fuzz

    fuzz("image_labels", instrument=["workers.ingestion.data", "app.contracts.strict_json"])
