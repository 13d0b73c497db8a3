#!/usr/bin/env bash
# Installs the clients that the control plane is tested with into places of their own.
set -euo pipefail
source "$(dirname "$0")/env.sh"

clients=$TOOLS/clients
wanted='boto3==1.44.3 botocore==1.44.8 awscli==1.46.3'
if [ "$(cat "$clients/installed" 2>/dev/null)" != "$wanted" ]; then
  python3 -c 'import ensurepip' 2>/dev/null || "$ROOT/scripts/setup.sh" python3-venv
  say "installing boto3 and the AWS CLI into $clients"
  python3 -m venv "$clients"
  # shellcheck disable=SC2086 # three words
  "$clients/bin/pip" install --quiet --disable-pip-version-check $wanted
  echo "$wanted" >"$clients/installed"
fi
command -v terraform >/dev/null || say "SKIPPED: without Terraform and a mirror of its AWS provider they are not tested"
# AWS's client of the Runtime API, for the interpreter that custom runtimes find.
ric='awslambdaric==4.2.2'
if [ "$(cat "$clients/awslambdaric.installed" 2>/dev/null)" != "$ric" ]; then
  say "installing awslambdaric into $clients"
  version=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  rm -rf "$clients/awslambdaric"
  "$clients/bin/pip" install --quiet --disable-pip-version-check --target "$clients/awslambdaric" \
    --python-version "$version" --only-binary :all: "$ric"
  echo "$ric" >"$clients/awslambdaric.installed"
fi
# What signs requests to key value stores (Signature Version 4a). Apart: where it is found, boto3 signs everything with it.
crt='awscrt==0.38.0'
if [ "$(cat "$clients/crt.installed" 2>/dev/null)" != "$crt" ]; then
  say "installing awscrt into $clients"
  rm -rf "$clients/crt"
  "$clients/bin/pip" install --quiet --disable-pip-version-check --target "$clients/crt" "$crt"
  echo "$crt" >"$clients/crt.installed"
fi
if ! command -v npm >/dev/null; then
  say "SKIPPED: without npm the AWS SDK for JavaScript is not tested"
elif [ ! -d "$clients/js/node_modules/@aws-sdk/client-cloudfront" ]; then
  say "installing the AWS SDK for JavaScript into $clients/js"
  mkdir -p "$clients/js"
  (cd "$clients/js" && npm install --no-audit --no-fund --silent \
    @aws-sdk/client-lambda@3.1164.0 @aws-sdk/client-cloudfront@3.1164.0) ||
    say "SKIPPED: the AWS SDK for JavaScript cannot be installed and is not tested"
fi
