#!/bin/sh
# All specs of a project on Slurm: a shard for each task of an array. In the project's folder:
#
#     sbatch --array=1-16 slurm.sh
#
# Where the machines share a cache, a job before makes what most specs need:
#
#     first=$(NODEKILN_SHARD=common sbatch --parsable --array=1 slurm.sh)
#     sbatch --array=1-16 --dependency="afterok:$first" slurm.sh
#
# A task works on a copy of the project on its machine's disk, since the database in build/ must not be on NFS, and copies
# its results back. A task that is requeued finds what it has made in the store of its machine.
#SBATCH --job-name=nodekiln
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=nodekiln-%A_%a.log
set -eu

export NODEKILN_LOCKED=1
export NODEKILN_SHARD="${NODEKILN_SHARD:-$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT}"
export NODEKILN_CACHE="${NODEKILN_CACHE:-/var/tmp/nodekiln-$(id -u)}"
echo "shard $NODEKILN_SHARD, start ${SLURM_RESTART_COUNT:-0}"

work=$(mktemp -d -p "${TMPDIR:-/var/tmp}")
trap 'rm -rf "$work"' EXIT
trap 'exit 143' TERM
tar -c --exclude=./build --exclude=./cache --exclude=./.git . | tar -x -C "$work"
(cd "$work" && nodekiln build)

mkdir -p build
for results in "$work"/build/*/; do
    [ ! -d "$results" ] || cp -R "$results" build/
done
