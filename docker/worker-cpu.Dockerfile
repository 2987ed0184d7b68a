# A worker for the CPU queues.
FROM python:3.11-slim-bookworm AS build

# Where a build of torch without CUDA is found. Empty: the ordinary package index, whose build brings CUDA along.
ARG TORCH_INDEX_URL=""

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

RUN python -m venv /opt/lowbit
ENV PATH=/opt/lowbit/bin:$PATH

WORKDIR /source
COPY constraints.txt pyproject.toml README.md ./
# Alone and first: a change of our own code downloads no torch again.
RUN if [ -n "$TORCH_INDEX_URL" ]; then \
        pip install --constraint constraints.txt --no-deps --index-url "$TORCH_INDEX_URL" torch; \
    else \
        pip install --constraint constraints.txt torch; \
    fi
COPY client client
COPY app app
COPY workers workers
COPY migrations migrations
RUN pip install --constraint constraints.txt ./client '.[worker]'


FROM python:3.11-slim-bookworm

# hadolint ignore=DL3008 # the distribution keeps only its newest, patched packages: a pinned version stops building
RUN apt-get update \
    && apt-get install --yes --no-install-recommends bubblewrap \
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
    LOWBIT_SCRATCH_DIR=/scratch

USER 10001:10001
WORKDIR /tmp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=60s --timeout=30s --start-period=60s --retries=3 \
    CMD ["python", "/opt/lowbit/worker_health.py"]
CMD ["lowbit", "worker", "--queues", "inspect,cpu"]
