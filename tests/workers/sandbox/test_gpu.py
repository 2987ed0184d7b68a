"""One GPU for each slot, and in a sandbox its nodes and no others. Nodes that every machine has stand in for them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workers.sandbox.enclosure import enclosed
from workers.sandbox.environment import job_environment
from workers.sandbox.gpu import DEV, Gpu, GpuUnavailable, gpus_for, visible_devices
from workers.sandbox.levels import LADDER, Level
from workers.sandbox.proof import prove

STAND_INS = {
    "nvidia0": "full", "nvidia1": "zero", "nvidiactl": "random", "nvidia-uvm": "urandom", "nvidia-uvm-tools": "urandom",
}  # fmt: skip
UUID = "GPU-{0}{0}{0}{0}{0}{0}{0}{0}-1111-2222-3333-444444444444"
FIRST, SECOND = UUID.format("a"), UUID.format("b")

every_level = pytest.mark.parametrize("level", LADDER)


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    folder = tmp_path / "dev"
    folder.mkdir()
    for name, real in STAND_INS.items():
        (folder / name).symlink_to(DEV / real)
    (folder / "nvidia-caps").mkdir()
    (folder / "nvidia-modeset").symlink_to(DEV / "full")
    (folder / "nvidia7").touch()  # a file, and no node
    return folder


@pytest.fixture
def driver(tmp_path: Path) -> Path:
    """What /proc/driver/nvidia says: the GPU that comes first on the bus has the higher number."""
    folder = tmp_path / "driver"
    for address, minor, uuid in (("0000:3b:00.0", 1, FIRST), ("0000:af:00.0", 0, SECOND)):
        described = folder / "gpus" / address
        described.mkdir(parents=True)
        (described / "information").write_text(
            f"Model: \t\t NVIDIA L4\nIRQ:   \t\t 214\nGPU UUID: \t {uuid}\nVideo BIOS: \t 95.04.29.00.06\n"
            f"Bus Type: \t PCIe\nBus Location: \t {address}\nDevice Minor: \t {minor}\nGPU Excluded:\t No\n"
        )
    return folder


def names(gpu: Gpu) -> list[str]:
    return [node.name for node in gpu.nodes]


def test_each_slot_has_a_gpu_of_its_own_in_the_order_of_the_bus(dev: Path, driver: Path) -> None:
    first, second = gpus_for(2, picked=None, dev=dev, driver=driver)
    assert names(first) == ["nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools"]
    assert names(second) == ["nvidia0", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools"]
    assert [(gpu.number, gpu.uuid) for gpu in (first, second)] == [(0, FIRST), (1, SECOND)]


def test_a_single_slot_takes_the_first(dev: Path, driver: Path) -> None:
    assert [gpu.uuid for gpu in gpus_for(1, picked=None, dev=dev, driver=driver)] == [FIRST]


@pytest.mark.parametrize(
    ("picked", "expected"),
    [
        ("1", [SECOND]), ("0", [FIRST]), ("1,0", [SECOND, FIRST]), (" 1 , 0 ", [SECOND, FIRST]),
        (SECOND, [SECOND]), ("GPU-b", [SECOND]), (f"{SECOND},0", [SECOND, FIRST]), ("1,-1,0", [SECOND]),
        ("0,5", [FIRST]),
    ],
)  # fmt: skip
def test_what_a_worker_was_left_with_is_divided_among_its_slots(
    dev: Path, driver: Path, picked: str, expected: list[str]
) -> None:
    """As CUDA reads the list: what follows a name of nothing does not count."""
    assert [gpu.uuid for gpu in gpus_for(len(expected), picked=picked, dev=dev, driver=driver)] == expected
    with pytest.raises(
        GpuUnavailable, match=f"2 can be opened here, of which CUDA_VISIBLE_DEVICES names {len(expected)}"
    ):
        gpus_for(len(expected) + 1, picked=picked, dev=dev, driver=driver)


@pytest.mark.parametrize("picked", ["", "-1", "2", "nvidia0", "GPU-", "GPU-c", "MIG-1", "0.0", "-0", "00"])
def test_a_list_that_names_no_gpu_of_the_machine_leaves_none(dev: Path, driver: Path, picked: str) -> None:
    with pytest.raises(GpuUnavailable, match="CUDA_VISIBLE_DEVICES names 0"):
        gpus_for(1, picked=picked, dev=dev, driver=driver)


def test_the_same_gpu_twice_is_one(dev: Path, driver: Path) -> None:
    with pytest.raises(GpuUnavailable, match="names 1"):
        gpus_for(2, picked="0,0", dev=dev, driver=driver)


def test_more_slots_than_gpus_are_refused_in_one_line(dev: Path, driver: Path) -> None:
    with pytest.raises(GpuUnavailable) as caught:
        gpus_for(3, picked=None, dev=dev, driver=driver)
    assert str(caught.value) == "3 at once on GPUs: each job has a GPU to itself, and 2 can be opened here."


def test_a_container_has_the_gpus_whose_nodes_it_holds_whatever_the_driver_tells_of(dev: Path, driver: Path) -> None:
    (dev / "nvidia1").unlink()
    (only,) = gpus_for(1, picked="0", dev=dev, driver=driver)
    assert (only.uuid, only.number) == (SECOND, 0)
    assert names(only)[0] == "nvidia0"


def test_without_a_word_of_the_driver_the_numbers_of_the_nodes_count(dev: Path, tmp_path: Path) -> None:
    for n in (10, 2):
        (dev / f"nvidia{n}").symlink_to(DEV / "full")
    found = gpus_for(4, picked=None, dev=dev, driver=tmp_path / "none")
    assert [names(gpu)[0] for gpu in found] == ["nvidia0", "nvidia1", "nvidia2", "nvidia10"]
    assert [gpu.uuid for gpu in found] == ["", "", "", ""]


def test_a_gpu_that_nobody_uses_has_no_name_yet_and_is_found_by_its_node(dev: Path, driver: Path) -> None:
    told = driver / "gpus/0000:3b:00.0/information"
    told.write_text(told.read_text().replace(FIRST, "GPU-????????-????-????-????-????????????"))
    first, second = gpus_for(2, picked=None, dev=dev, driver=driver)
    assert [visible_devices(gpu, Level.LANDLOCK) for gpu in (first, second)] == ["0", SECOND]
    assert [visible_devices(gpu, Level.NONE) for gpu in (first, second)] == ["0", SECOND]
    assert visible_devices(None, Level.NONE) == ""


@pytest.mark.parametrize("level", list(Level))
def test_the_only_node_in_a_sandbox_is_the_first_that_cuda_finds(dev: Path, tmp_path: Path, level: Level) -> None:
    second = gpus_for(2, picked=None, dev=dev, driver=tmp_path / "none")[1]
    assert visible_devices(second, level) == ("1" if level == Level.NONE else "0")


def test_an_older_driver_has_one_node_less(dev: Path, driver: Path) -> None:
    (dev / "nvidia-uvm-tools").unlink()
    assert names(gpus_for(1, picked=None, dev=dev, driver=driver)[0]) == ["nvidia1", "nvidiactl", "nvidia-uvm"]


@pytest.mark.parametrize("name", ["nvidiactl", "nvidia-uvm"])
def test_a_driver_that_is_not_all_there_is_named_with_what_to_do(dev: Path, driver: Path, name: str) -> None:
    (dev / name).unlink()
    with pytest.raises(
        GpuUnavailable, match=rf"{name} cannot be opened\. As root on the host: nvidia-modprobe -u -c 0$"
    ):
        gpus_for(1, picked=None, dev=dev, driver=driver)


def test_a_machine_without_a_gpu_is_told_what_it_takes(tmp_path: Path) -> None:
    with pytest.raises(GpuUnavailable, match=r"no GPU: none of .*nvidia0, nvidia1, .* It takes NVIDIA's driver"):
        gpus_for(1, picked=None, dev=tmp_path, driver=tmp_path)


def test_as_a_program_it_ends_with_the_line() -> None:
    command = [sys.executable, "-m", "workers.sandbox.gpu", "1000"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1
    assert "GPU" in ran.stderr


# --- in the sandbox


def tried(level: Level, scratch: Path, devices: tuple[Path, ...], paths: list[str]) -> list[str]:
    """Which of these can be opened for reading and writing inside. `{thread}` is a thread of the process."""
    code = f"""import os, threading
def tries():
    for path in {paths!r}:
        try:
            os.close(os.open(path.format(thread=threading.get_native_id()), os.O_RDWR | os.O_NOCTTY))
        except OSError: continue
        print(path)
started = threading.Thread(target=tries); started.start(); started.join()"""
    with enclosed(level, [sys.executable, "-c", code], scratch, devices=devices) as made:
        ran = subprocess.run(
            made.command, pass_fds=made.descriptors, cwd=scratch, env=job_environment(scratch),
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    return ran.stdout.splitlines()


@every_level
@pytest.mark.parametrize("slot", [0, 1])
def test_the_nodes_of_one_gpu_can_be_opened_and_no_others(dev: Path, driver: Path, level: Level, slot: int) -> None:
    gpu = gpus_for(2, picked=None, dev=dev, driver=driver)[slot]
    (scratch := dev.with_name("scratch")).mkdir()
    there = [str(dev / name) for name in STAND_INS]
    assert tried(level, scratch, gpu.nodes, there) == [path for path in there if Path(path) in gpu.nodes]
    assert len(gpu.nodes) == len(there) - 1
    assert tried(level, scratch, (), there) == []


@every_level
def test_cuda_can_name_its_threads_and_change_nothing_of_the_kernels(dev: Path, level: Level) -> None:
    """Where the first fails CUDA does not start: cuInit ends with 304."""
    (scratch := dev.with_name("scratch")).mkdir()
    thread = "/proc/self/task/{thread}/comm"
    settings = ["/proc/sys/kernel/core_pattern", "/proc/irq/default_smp_affinity", "/proc/pressure/cpu"]
    paths = [thread, *settings, f"/proc/{os.getpid()}/comm", f"/proc/{os.getpid()}/oom_score_adj"]
    assert tried(level, scratch, (dev / "nvidia0",), paths) == [thread]
    assert tried(level, scratch, (), paths) == []


@every_level
def test_with_a_gpus_nodes_a_sandbox_holds_as_without(dev: Path, driver: Path, level: Level) -> None:
    (folder := dev.with_name("proof")).mkdir()
    found = prove(level, folder, devices=gpus_for(1, picked=None, dev=dev, driver=driver)[0].nodes)
    assert found.holds, found.reason


@pytest.mark.gpu
@pytest.mark.skipif(not (DEV / "nvidiactl").exists(), reason="no NVIDIA GPU; the tests with stand-ins are the twin")
@every_level
def test_cuda_starts_in_the_sandbox_and_finds_one_gpu(tmp_path: Path, level: Level) -> None:
    (gpu,) = gpus_for(1, picked=os.environ.get("CUDA_VISIBLE_DEVICES"))
    code = """import ctypes
cuda, count = ctypes.CDLL("libcuda.so.1"), ctypes.c_int()
print(cuda.cuInit(0), cuda.cuDeviceGetCount(ctypes.byref(count)), count.value)"""
    with enclosed(level, [sys.executable, "-c", code], tmp_path, devices=gpu.nodes) as made:
        ran = subprocess.run(
            made.command, pass_fds=made.descriptors, cwd=tmp_path, capture_output=True, text=True, check=False,
            env=job_environment(tmp_path, visible_devices=visible_devices(gpu, level)),
        )  # fmt: skip
    assert (ran.stdout, ran.stderr) == ("0 0 1\n", "")
