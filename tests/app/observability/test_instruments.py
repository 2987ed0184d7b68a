from app.observability.instruments import Instruments


def test_made_up_methods_do_not_make_new_series() -> None:
    instruments = Instruments()
    for method in ("GET", "BREW", "X" * 100):
        instruments.count_request(method=method, route="/v1/jobs", status=200, seconds=0.01)
    methods = {
        sample.labels["method"]: sample.value
        for family in instruments.registry.collect()
        for sample in family.samples
        if sample.name == "lowbit_http_requests_total"
    }
    assert methods == {"GET": 1.0, "other": 2.0}


def test_a_streams_length_does_not_count_as_a_duration() -> None:
    instruments = Instruments()
    instruments.count_request(method="GET", route="/v1/events", status=200, seconds=None)
    instruments.count_request(method="GET", route="/v1/jobs", status=200, seconds=0.2)
    counts = {
        sample.labels["route"]: sample.value
        for family in instruments.registry.collect()
        for sample in family.samples
        if sample.name == "lowbit_http_request_duration_seconds_count"
    }
    assert counts == {"/v1/jobs": 1.0}
