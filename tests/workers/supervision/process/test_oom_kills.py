from pathlib import Path

import pytest

from workers.supervision.process import oom_kills


def _machine(root: Path, monkeypatch: pytest.MonkeyPatch, groups: str, **files: str) -> None:
    (root / "own").write_text(groups)
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(oom_kills, "OUR_CGROUPS", root / "own")
    monkeypatch.setattr(oom_kills, "CGROUPS", root / "groups")
    monkeypatch.setattr(oom_kills, "VMSTAT", root / "vmstat")


def test_version_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events, most = "low 0\noom 9\noom_kill 4\n", "1073741824\n"
    _machine(
        tmp_path, monkeypatch, "0::/a/b\n", groups__a__b__memory_DOT_events=events, groups__a__b__memory_DOT_max=most
    )
    assert (oom_kills.oom_kills(), oom_kills.memory_limit_bytes()) == (4, 1024**3)


def test_version_1_in_a_container_that_does_not_show_its_own_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control, most = "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", f"{2**63 - 4096}\n"
    _machine(
        tmp_path,
        monkeypatch,
        "5:cpu:/x\n4:memory:/docker/abc\n0::/\n",
        groups__memory__memory_DOT_oom_control=control,
        groups__memory__memory_DOT_limit_in_bytes=most,
    )
    assert (oom_kills.oom_kills(), oom_kills.memory_limit_bytes()) == (2, None)


def test_a_machine_without_groups_counts_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _machine(tmp_path, monkeypatch, "0::/\n", vmstat="nr_free_pages 7\noom_kill 3\n")
    assert (oom_kills.oom_kills(), oom_kills.memory_limit_bytes()) == (3, None)


def test_this_machine_can_be_read() -> None:
    assert oom_kills.oom_kills() >= 0
