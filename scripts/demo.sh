#!/usr/bin/env bash
# Builds Selvedge, serves examples/demo on http://localhost:8080 and
# https://localhost:8443, prints requests to try, and shows one line for each
# request until Ctrl-C.
set -euo pipefail
source "$(dirname "$0")/env.sh"
"$ROOT/scripts/build.sh"

demo=$ROOT/examples/demo
http=http://localhost:8080 https=https://localhost:8443
if [ ! -d "$demo/certs" ]; then
  say "making a local certificate authority in examples/demo/certs"
  "$SELVEDGE_BIN" certs init --dir "$demo/certs" localhost 127.0.0.1
fi

# One function is written for Python 3.11; it runs on whatever later one the system has.
config=$demo/selvedge.toml
for python in python3.11 python3.12 python3.13 python3.14; do
  command -v "$python" >/dev/null || continue
  if [ "$python" != python3.11 ]; then
    sed "s/python3\.11/$python/" "$config" >"$demo/selvedge.local.toml"
    config=$demo/selvedge.local.toml
  fi
  break
done

"$SELVEDGE_BIN" serve --config "$config" &
edge=$!
trap 'kill "$edge" 2>/dev/null || true; wait "$edge" 2>/dev/null || true' EXIT
attempts=0
until curl --silent --fail --output /dev/null "$http/"; do
  kill -0 "$edge" 2>/dev/null || die "selvedge ended before it was ready"
  attempts=$((attempts + 1))
  [ "$attempts" -lt 150 ] || die "$http did not answer within 30 seconds"
  read -r -t 0.2 <> <(:) || true
done

token=$(cat "$demo/token.txt")
cat <<TRY

Selvedge is up. Try, in another terminal:

  curl -i $http/                                 security headers from a viewer-response hook
  curl -i $http/about                            a pretty URL: origin-request finds about/index.html
  curl -i $http/about                            again: X-Cache says Hit, origin-request did not run
  curl -i $http/old/about                        a redirect made in viewer-request
  curl -iL -c /tmp/jar -b /tmp/jar $http/offer/  an A/B split that stays, by cookie
  curl -i -b group=b $http/offer/                the same, as a member of group b
  curl -i $http/members/                         401: a JSON Web Token is missing
  curl -i -H 'authorization: Bearer $token' $http/members/
  curl -i '$http/api/products?category=tea'      JSON made in origin-request from a fetch
  curl -i -d 'name=Ada' $http/api/echo           a POST body, read by a function
  curl -i $http/api/tea                          the tea of the hour, by a function in Python
  curl -i --cacert $demo/certs/ca.crt $https/    the same over TLS and HTTP/2

Change a file in examples/demo/functions and ask again: it is served at once.
One line per request follows. Ctrl-C ends it.

TRY
wait "$edge"
