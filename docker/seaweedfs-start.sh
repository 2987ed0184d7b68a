#!/bin/sh
# One SeaweedFS process as the S3 store. The one identity may use one bucket, `lowbit`; everything but S3 listens on
# loopback only. Further arguments are passed on and win over those given here.
set -eu
umask 077

: "${LOWBIT_S3_ACCESS_KEY_ID:?set LOWBIT_S3_ACCESS_KEY_ID}"
: "${LOWBIT_S3_SECRET_ACCESS_KEY:?set LOWBIT_S3_SECRET_ACCESS_KEY}"

case "$LOWBIT_S3_ACCESS_KEY_ID$LOWBIT_S3_SECRET_ACCESS_KEY" in
*[!A-Za-z0-9]*)
    echo "LOWBIT_S3_ACCESS_KEY_ID and LOWBIT_S3_SECRET_ACCESS_KEY: letters and digits only" >&2
    exit 1
    ;;
esac

identities="${TMPDIR:-/tmp}/identities.json"
cat >"$identities" <<JSON
{"identities": [{
  "name": "lowbit",
  "credentials": [{"accessKey": "$LOWBIT_S3_ACCESS_KEY_ID", "secretKey": "$LOWBIT_S3_SECRET_ACCESS_KEY"}],
  "actions": ["Admin:lowbit", "Read:lowbit", "Write:lowbit", "List:lowbit"]
}]}
JSON

# -volume.max=0: as many volumes as the disk has room for. Telemetry is on by default.
exec weed server -dir="${DATA_DIR:-/var/lib/seaweedfs}" -ip=127.0.0.1 -ip.bind=127.0.0.1 \
    -master.telemetry=false -master.volumeSizeLimitMB=1024 -volume.max=0 -filer \
    -s3 -s3.ip.bind=0.0.0.0 -s3.port=8333 -s3.config="$identities" -s3.port.iceberg=0 -s3.port.lance=0 "$@"
