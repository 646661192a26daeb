#!/usr/bin/env bash
# The demonstration of the README, with what is built.
set -euo pipefail
exec "$SOURCE_DIR/demo.sh" --no-build "$@"
