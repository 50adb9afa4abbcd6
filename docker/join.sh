#!/bin/sh
# Runs pomona; where POMONA_RAY_HEAD names a Ray head (host:port), joins that cluster first.
#
# A Ray driver needs a Ray node on its own machine. This one offers no processors, so no task lands on it, and it ends
# with the container. `--address auto` then finds the cluster.
set -eu

if [ -n "${POMONA_RAY_HEAD:-}" ]; then
    ray start --address="$POMONA_RAY_HEAD" --num-cpus=0 --disable-usage-stats >&2
fi
exec pomona "$@"
