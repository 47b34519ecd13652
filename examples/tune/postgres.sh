#!/usr/bin/env bash
# A PostgreSQL to tune: a server of its own on loopback, with pgbench's tables.
#
#   postgres.sh up [SCALE]       make it (SCALE x 100,000 accounts, 16 MB each; 10 by default) and start it
#   postgres.sh url              where it is
#   postgres.sh restart          restart it
#   postgres.sh measure [SECONDS] [CLIENTS]
#                                a checkpoint and a warm cache, then pgbench's short transactions (120 s, 8 clients) with
#                                another checkpoint a third into them; the last line is JSON
#   postgres.sh down             stop it and remove it
#
# KANDELA_POSTGRES is the folder; PostgreSQL's programs are taken from PATH or /usr/lib/postgresql.
set -euo pipefail

folder=${KANDELA_POSTGRES:-${TMPDIR:-/tmp}/kandela-postgres}
data=$folder/data
newest=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -1)
PATH=$PATH:$newest

# PostgreSQL refuses to run as root.
as_user() {
  if [ "$(id -u)" = 0 ]; then
    (cd / && setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@")
  else
    "$@"
  fi
}

free_port() {
  local port=$1
  while (: </dev/tcp/127.0.0.1/"$port") 2>/dev/null; do port=$((port + 1)); done
  echo "$port"
}

need_server() {
  [ -e "$data/PG_VERSION" ] || { echo "there is no server in $folder; run: $0 up" >&2; exit 1; }
  port=$(sed -n 's/^port = //p' "$data/postgresql.conf" | tail -1)
}

sql() {
  psql -h 127.0.0.1 -p "$port" -U kandela -qXAtc "$1" bench
}

ctl() {
  # Output goes to the log alone, as a server that holds a pipe holds up whoever reads it.
  as_user pg_ctl -D "$data" -l "$folder/log" -w -t 120 -m fast "$@" >/dev/null
}

case ${1:-} in
up)
  [ ! -e "$data" ] || { echo "$folder holds a server already; run: $0 down" >&2; exit 1; }
  mkdir -p "$folder"
  [ "$(id -u)" != 0 ] || chown 65534:65534 "$folder"
  as_user initdb -A trust -U kandela -D "$data" >/dev/null
  port=$(free_port 15432)
  as_user tee -a "$data/postgresql.conf" >/dev/null <<CONF
port = $port
listen_addresses = '127.0.0.1'
unix_socket_directories = '$folder'
CONF
  ctl start
  createdb -h 127.0.0.1 -p "$port" -U kandela bench
  pgbench -h 127.0.0.1 -p "$port" -U kandela -q -i -s "${2:-10}" bench 2>/dev/null
  sql 'CREATE EXTENSION pg_prewarm'
  exec "$0" url
  ;;
url)
  need_server
  echo "postgres://kandela@127.0.0.1:$port/bench"
  ;;
restart)
  need_server
  ctl restart
  ;;
measure)
  need_server
  seconds=${2:-120}
  # What the trial before left to be written, and what a restart dropped from memory, is not this one's to pay for.
  sql CHECKPOINT
  sql "SELECT pg_prewarm('pgbench_accounts_pkey'), pg_prewarm('pgbench_accounts')" >/dev/null
  (sleep $((seconds / 3)) && sql CHECKPOINT) &
  pgbench -h 127.0.0.1 -p "$port" -U kandela -n -c "${3:-8}" -j 2 -T "$seconds" bench 2>&1 |
    awk '{ print } /^latency average/ { latency = $4 } /^number of failed/ { failed = $5 } /^tps/ { tps = $3 }
         END { if (tps == "") exit 1; printf "{\"tps\": %s, \"latency_ms\": %s, \"failed\": %d}\n", tps, latency, failed }'
  wait
  ;;
down)
  need_server
  ctl stop || true
  rm -rf "$data" "$folder/log"
  rmdir "$folder" 2>/dev/null || true
  ;;
*)
  sed -n '2,12s/^# \{0,1\}//p' "$0" >&2
  exit 2
  ;;
esac
