from lowbit.request import job_request


def test_only_what_was_said_is_sent_besides_target_and_recipe() -> None:
    assert job_request("mdl_1", "ds_1") == {
        "model_id": "mdl_1",
        "calibration_dataset_id": "ds_1",
        "target": "onnxruntime-cpu",
        "recipe": {"preset": "int8-balanced"},
    }


def test_every_option_has_its_place() -> None:
    request = job_request(
        "mdl_1",
        "ds_1",
        "ds_2",
        {
            "name": "first",
            "target": "elsewhere",
            "recipe": {"preset": "int8-fast", "per_channel": False},
            "max_accuracy_drop": 0.0,
            "minimize": "size_bytes",
            "benchmark": {"batch_sizes": [1]},
            "labels": {"team": "search"},
            "seed": 0,
        },
    )
    assert request == {
        "model_id": "mdl_1",
        "calibration_dataset_id": "ds_1",
        "evaluation_dataset_id": "ds_2",
        "name": "first",
        "target": "elsewhere",
        "recipe": {"preset": "int8-fast", "per_channel": False},
        "objective": {"max_accuracy_drop": 0.0, "minimize": "size_bytes"},
        "benchmark": {"batch_sizes": [1]},
        "labels": {"team": "search"},
        "seed": 0,
    }
