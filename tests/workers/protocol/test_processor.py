from workers.protocol.processor import cpu_has_vnni, cpu_model

CPUINFO = "processor\t: 0\nmodel name\t: Xeon\nflags\t\t: fpu avx2 avx512_vnni\n\nprocessor\t: 1\nmodel name\t: Xeon\n"


def test_name_and_vnni_are_read_from_cpuinfo() -> None:
    assert cpu_model(CPUINFO) == "Xeon"
    assert cpu_has_vnni(CPUINFO)
    assert cpu_has_vnni(CPUINFO.replace("avx512_vnni", "avx_vnni"))
    assert not cpu_has_vnni(CPUINFO.replace("avx512_vnni", "avx512f"))


def test_a_machine_without_cpuinfo_has_a_name_all_the_same() -> None:
    assert cpu_model("") != ""
    assert not cpu_has_vnni("")
