#!/usr/bin/env bash
# An nginx to tune: a server of its own on loopback, with a file of 16 kB.
#
#   nginx.sh up          start it, with what nginx.conf.template has in place of the knobs
#   nginx.sh url         where it is
#   nginx.sh measure [SECONDS] [CONNECTIONS]
#                        put the knobs that the environment has into the configuration, reload, wait until it answers with that, run
#                        wrk (10 s, 32 connections); the last line is JSON
#   nginx.sh down        stop it
#
# KANDELA_NGINX is the folder. The knobs and their defaults are those of nginx.json.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
folder=${KANDELA_NGINX:-${TMPDIR:-/tmp}/kandela-nginx}
PATH=$PATH:/usr/sbin

free_port() {
  local port=$1
  while (: </dev/tcp/127.0.0.1/"$port") 2>/dev/null; do port=$((port + 1)); done
  echo "$port"
}

need_server() {
  [ -e "$folder/port" ] || { echo "there is no server in $folder; run: $0 up" >&2; exit 1; }
  port=$(cat "$folder/port")
}

nginx_with() {
  nginx -e "$folder/error.log" -c "$folder/nginx.conf" "$@"
}

# The configuration with the environment's knobs in it; what names them is in nginx.json as well.
configure() {
  sed -e "s|{{folder}}|$folder|g" -e "s|{{port}}|$port|g" -e "s|{{trial}}|$trial|g" \
    -e "s|{{worker_processes}}|${worker_processes:-1}|" \
    -e "s|{{worker_connections}}|${worker_connections:-512}|" \
    -e "s|{{multi_accept}}|${multi_accept:-off}|" \
    -e "s|{{sendfile}}|${sendfile:-off}|" \
    -e "s|{{tcp_nopush}}|${tcp_nopush:-off}|" \
    -e "s|{{keepalive_requests}}|${keepalive_requests:-1000}|" \
    -e "s|{{open_file_cache}}|${open_file_cache:-off}|" \
    "$here/nginx.conf.template" >"$folder/nginx.conf"
}

# Until the new workers answer and the old ones, which close what connections they have, are gone.
answers() {
  for _ in $(seq 200); do
    sleep 0.05
    [ "$(pgrep -c -P "$(cat "$folder/nginx.pid")")" = "${worker_processes:-1}" ] || continue
    [ "$(curl -fs "http://127.0.0.1:$port/trial")" != "$trial" ] || return 0
  done
  echo "nginx does not answer with its new configuration; see $folder/error.log" >&2
  exit 1
}

case ${1:-} in
up)
  [ ! -e "$folder/port" ] || { echo "$folder holds a server already; run: $0 down" >&2; exit 1; }
  mkdir -p "$folder/www"
  chmod 755 "$folder" "$folder/www"
  head -c 16384 /dev/zero >"$folder/www/file"
  port=$(free_port 18080)
  trial=none
  configure
  nginx_with
  answers
  echo "$port" >"$folder/port"
  exec "$0" url
  ;;
url)
  need_server
  echo "http://127.0.0.1:$port/file"
  ;;
measure)
  need_server
  trial=$(date +%s%N)
  configure
  nginx_with -t -q
  nginx_with -s reload
  answers
  wrk -t 1 -c "${3:-32}" -d "${2:-10}s" -s "$here/wrk.lua" "http://127.0.0.1:$port/file"
  ;;
down)
  need_server
  nginx_with -s quit || true
  rm -rf "$folder"
  ;;
*)
  sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
  exit 2
  ;;
esac
