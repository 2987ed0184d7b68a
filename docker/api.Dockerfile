# The API and the migrations: no numerics, no worker code.
FROM python:3.11-slim-bookworm AS build

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

RUN python -m venv /opt/lowbit
ENV PATH=/opt/lowbit/bin:$PATH

WORKDIR /source
COPY constraints.txt pyproject.toml README.md ./
COPY client client
COPY app app
COPY migrations migrations
RUN pip install --constraint constraints.txt ./client .


FROM python:3.11-slim-bookworm

RUN groupadd --gid 10001 lowbit \
    && useradd --uid 10001 --gid lowbit --no-create-home --shell /usr/sbin/nologin lowbit \
    && install --directory --owner lowbit --group lowbit --mode 0700 /scratch

COPY --from=build /opt/lowbit /opt/lowbit
COPY docker/api_health.py /opt/lowbit/api_health.py

ENV PATH=/opt/lowbit/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    LOWBIT_HOST=0.0.0.0 \
    LOWBIT_PORT=8000 \
    LOWBIT_SCRATCH_DIR=/scratch

USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "/opt/lowbit/api_health.py"]
CMD ["python", "-m", "app.serve.api"]
