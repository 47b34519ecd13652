#!/usr/bin/env bash
# A Redis to tune: a server of its own on loopback that keeps nothing.
#
#   redis.sh up          start it
#   redis.sh url         where it is
#   redis.sh measure [REQUESTS] [CLIENTS]
#                        redis-benchmark's strings, lists, hashes and sorted sets (100,000 requests of each, 50 clients), over
#                        10,000 keys, from an empty server; the last line is JSON
#   redis.sh down        stop it
#
# KANDELA_REDIS is the folder.
set -euo pipefail

folder=${KANDELA_REDIS:-${TMPDIR:-/tmp}/kandela-redis}

free_port() {
  local port=$1
  while (: </dev/tcp/127.0.0.1/"$port") 2>/dev/null; do port=$((port + 1)); done
  echo "$port"
}

need_server() {
  [ -e "$folder/port" ] || { echo "there is no server in $folder; run: $0 up" >&2; exit 1; }
  port=$(cat "$folder/port")
}

case ${1:-} in
up)
  [ ! -e "$folder/port" ] || { echo "$folder holds a server already; run: $0 down" >&2; exit 1; }
  mkdir -p "$folder"
  port=$(free_port 16379)
  redis-server --port "$port" --bind 127.0.0.1 --save "" --dir "$folder" --daemonize yes --logfile "$folder/log" >/dev/null
  until redis-cli -p "$port" ping >/dev/null 2>&1; do sleep 0.1; done
  echo "$port" >"$folder/port"
  exec "$0" url
  ;;
url)
  need_server
  echo "redis://127.0.0.1:$port"
  ;;
measure)
  need_server
  redis-cli -p "$port" flushall >/dev/null
  # Requests of all kinds by the time that all of them took.
  redis-benchmark -p "$port" -t set,get,lpush,lrange_100,hset,zadd -n "${2:-100000}" -c "${3:-50}" -r 10000 --csv 2>/dev/null |
    awk -F'","' '{ print } $2 + 0 > 0 { tests++; time += 1 / $2; if ($7 + 0 > worst) worst = $7 + 0 }
         END { if (tests == 0) exit 1; printf "{\"rps\": %.1f, \"p99_ms\": %.3f}\n", tests / time, worst }'
  ;;
down)
  need_server
  redis-cli -p "$port" shutdown nosave 2>/dev/null || true
  rm -rf "$folder/port" "$folder/log"
  rmdir "$folder" 2>/dev/null || true
  ;;
*)
  sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
  exit 2
  ;;
esac
