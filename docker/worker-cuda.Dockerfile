# A worker for the GPU queue. The base brings CUDA 13 and cuDNN 9, which onnxruntime-gpu loads from the system.
FROM nvidia/cuda:13.0.2-cudnn-runtime-ubuntu24.04 AS build

# Where the build of torch for this CUDA is found. Empty: the ordinary package index.
ARG TORCH_INDEX_URL=""

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

# hadolint ignore=DL3008 # the distribution keeps only its newest, patched packages: a pinned version stops building
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/lowbit
ENV PATH=/opt/lowbit/bin:$PATH

WORKDIR /source
COPY constraints.txt pyproject.toml README.md ./
COPY docker/constraints-gpu.txt docker/constraints-gpu.txt
# Alone and first: a change of our own code downloads no torch again.
RUN if [ -n "$TORCH_INDEX_URL" ]; then \
        pip install --constraint constraints.txt --no-deps --index-url "$TORCH_INDEX_URL" torch; \
    fi \
    && pip install --constraint constraints.txt torch
COPY client client
COPY app app
COPY workers workers
COPY migrations migrations
# onnxruntime and onnxruntime-gpu share one folder: the first goes, and the second is put back whole.
RUN pip install --constraint constraints.txt --constraint docker/constraints-gpu.txt ./client '.[worker,gpu]' \
    && pip uninstall --yes onnxruntime \
    && pip install --constraint docker/constraints-gpu.txt --no-deps --force-reinstall onnxruntime-gpu


FROM nvidia/cuda:13.0.2-cudnn-runtime-ubuntu24.04

# hadolint ignore=DL3008 # see above
RUN apt-get update \
    && apt-get install --yes --no-install-recommends bubblewrap python3 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 lowbit \
    && useradd --uid 10001 --gid lowbit --no-create-home --shell /usr/sbin/nologin lowbit \
    && install --directory --owner lowbit --group lowbit --mode 0700 /scratch

COPY --from=build /opt/lowbit /opt/lowbit
COPY docker/worker_health.py /opt/lowbit/worker_health.py

ENV PATH=/opt/lowbit/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    LOWBIT_SCRATCH_DIR=/scratch \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

USER 10001:10001
WORKDIR /tmp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=60s --timeout=30s --start-period=60s --retries=3 \
    CMD ["python", "/opt/lowbit/worker_health.py"]
CMD ["lowbit", "worker", "--queues", "gpu"]
