#!/usr/bin/env bash
# Customers of the PostgreSQL that examples/tune/postgres.sh has made: pgbench, which reports as a service does, each second by
# OpenTelemetry, how many transactions there were and how long they took together.
#
#   orders.sh [SECONDS] [CLIENTS]    for 600 s, 8 at a time
#
# OTEL_EXPORTER_OTLP_ENDPOINT is where reports go, http://127.0.0.1:4318 by default.
set -euo pipefail

endpoint=${OTEL_EXPORTER_OTLP_ENDPOINT:-http://127.0.0.1:4318}
url=$("$(dirname "$0")/../tune/postgres.sh" url)
newest=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -1)
PATH=$PATH:$newest
began=$(date +%s%N)

counter() {
  printf '{"name":"%s","unit":"%s","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{"asDouble":%s,"startTimeUnixNano":"%s","timeUnixNano":"%s"}]}}' \
    "$1" "$2" "$3" "$began" "$4"
}

report() {
  local now
  now=$(date +%s%N)
  printf '{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"orders"}}]},"scopeMetrics":[{"metrics":[%s,%s]}]}]}' \
    "$(counter orders.transactions '{transaction}' "$1" "$now")" "$(counter orders.transaction.time s "$2" "$now")" |
    curl -fsS -o /dev/null -H 'content-type: application/json' --data-binary @- "$endpoint/v1/metrics" ||
    echo "nobody takes the report at $endpoint" >&2
}

transactions=0
seconds=0
# progress: 3.0 s, 1190.0 tps, lat 6.721 ms stddev 2.310, 0 failed
pgbench "$url" -n -c "${2:-8}" -j 2 -T "${1:-600}" -P 1 2>&1 >/dev/null |
  while read -r progress _ _ tps _ _ milliseconds _; do
    [ "$progress" = progress: ] || continue
    read -r transactions seconds < <(
      awk -v n="$transactions" -v s="$seconds" -v tps="$tps" -v ms="$milliseconds" \
        'BEGIN { printf "%.3f %.6f\n", n + tps, s + tps * ms / 1000 }'
    )
    report "$transactions" "$seconds"
  done
