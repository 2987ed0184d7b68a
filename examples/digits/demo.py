"""`make demo`: the whole service at work on real data, from training a float model to a measured int8 one.

Starts a service of its own in a temporary folder, uses it through the `lowbit` command as a person would, and stops it.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lowbit.command.figures import size_change
from train import make_files

LOWBIT = str(Path(sys.executable).with_name("lowbit"))
OUTPUT = Path("demo-output")
START_SECONDS = 120.0


def main() -> int:
    OUTPUT.mkdir(exist_ok=True)
    say("Training a small CNN on 1,000 real handwritten digits ...")
    files = make_files(OUTPUT)
    with running_service() as environment:
        command = [
            *(LOWBIT, "quantize", str(files.model)),
            *("--calibration", str(files.calibration), "--evaluation", str(files.evaluation)),
            *("--max-accuracy-drop", "0.01", "--output", str(OUTPUT), "--format", "json"),
        ]
        say("\n$ " + " ".join(["lowbit", *command[1:]]))
        finished = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    (OUTPUT / "result.json").write_text(finished.stdout)
    if finished.returncode != 0:
        say(f"lowbit quantize ended with exit code {finished.returncode}; see {OUTPUT / 'result.json'}")
        return finished.returncode
    show(json.loads(finished.stdout))
    return 0


@contextmanager
def running_service() -> Iterator[dict[str, str]]:
    """`lowbit serve` on a free port; yields the environment that leads the command line to it."""
    data = tempfile.mkdtemp(prefix="lowbit-demo-")
    say("\n$ lowbit serve --port 0   (database, queue, API and workers, in a temporary folder)")
    serve = subprocess.Popen([LOWBIT, "serve", "--data-dir", data, "--port", "0"])
    try:
        note = wait_for_note(Path(data) / "service.json", serve)
        key = Path(note["key_file"]).read_text().strip()
        yield {**os.environ, "LOWBIT_URL": note["url"], "LOWBIT_TOKEN": key}
    finally:
        serve.send_signal(signal.SIGTERM)
        serve.wait()
        subprocess.run(["rm", "-rf", data], check=True)


def wait_for_note(path: Path, serve: subprocess.Popen[bytes]) -> dict[str, Any]:
    deadline = time.monotonic() + START_SECONDS
    while not path.exists():
        if serve.poll() is not None or time.monotonic() > deadline:
            sys.exit("the service did not start")
        time.sleep(0.1)
    note: dict[str, Any] = json.loads(path.read_text())
    return note


def show(job: dict[str, Any]) -> None:
    """Float against int8, in the words of the result."""
    result = job["result"]
    baseline, best = result["baseline"], result["best"]
    low, high = best["accuracy_delta_ci95"]
    rows = [
        ("", "float32", "int8", ""),
        (
            "accuracy",
            f"{baseline['accuracy']:.2%}",
            f"{best['accuracy']:.2%}",
            f"{100 * best['accuracy_delta']:+.2f} points, 95 % interval {100 * low:+.2f} to {100 * high:+.2f}",
        ),
        ("agreement", "", f"{best['agreement']:.2%}", f"of {best['samples']} predictions equal the float model's"),
        (
            "size",
            f"{baseline['size_bytes'] / 1000:.1f} kB",
            f"{best['size_bytes'] / 1000:.1f} kB",
            size_change(baseline["size_bytes"], best["size_bytes"]),
        ),
    ]
    for ours, theirs in zip(best["benchmark"], baseline["benchmark"], strict=True):
        rows.append(
            (
                f"latency, batch {ours['batch_size']}",
                f"{theirs['latency_ms']['p50']:.3f} ms",
                f"{ours['latency_ms']['p50']:.3f} ms",
                f"{ours['speedup']:.2f} times the float model's speed",
            )
        )
    say("")
    for name, theirs, ours, remark in rows:
        say(f"  {name:<18}{theirs:>12}{ours:>12}   {remark}")
    say(f"\n{result['verdict']}")
    environment = result["environment"]
    runtime, threads = environment["runtime_version"], environment["threads"]
    say(f"Measured with ONNX Runtime {runtime} on {threads} threads of {environment['cpu']}.")
    say("\nFiles:")
    for path in [*job["files"], str(OUTPUT / "result.json")]:
        say(f"  {path}")


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
