# The files of an installed agent, laid out below a folder: for scripts/install and scripts/package. Sourced after common.sh.
# shellcheck shell=bash

HOME_OF_AGENT=/opt/watchtower-agent
CONFIGURATION=/etc/watchtower-agent
STATE=/var/lib/watchtower-agent
SERVICE=watchtower-agent.service

# Lays out below STAGE what the agent is made of: its environment under /opt with all it needs, the shipped configuration and
# documentation in its share/, and the wheel and sdist in STAGE/dist. What follows goes to pip (--no-index --find-links DIR).
agent_tree() { # STAGE PYTHON PIP-ARGUMENT...
  local stage=$1 python=$2 tools=$1/tools home=$1$HOME_OF_AGENT
  shift 2
  local pip=("$tools/bin/python" -m pip --disable-pip-version-check --quiet)
  mkdir -p "$stage/dist"
  "$python" -m venv "$tools"
  "$python" -m venv --without-pip "$home"
  "${pip[@]}" install "$@" --no-deps --require-hashes -r requirements-build.lock
  "${pip[@]}" --python "$home/bin/python" install "$@" --no-compile --no-deps --require-hashes -r requirements.lock
  distributions "$tools/bin/python" "$stage"
  "${pip[@]}" --python "$home/bin/python" install --no-compile --no-deps --no-index "$stage"/dist/*.whl
  find "$home/bin" -type f ! -name watchtower-agent -delete # what libraries bring, which nobody calls here
  rm -rf "$home/include" "$home/.gitignore" "$home"/lib/python*/site-packages/watchtower_agent-*.dist-info/direct_url.json
  # a script names its interpreter by its place, which is not yet where it will be
  # The commands, too, run what was compiled, and leave nothing behind when root calls them.
  sed -i "1s|^#!$stage\(.*\)|#!\1 -OOB|" "$home/bin/watchtower-agent"
  sed -i "s|$stage||g" "$home/pyvenv.cfg"
  # compiled once, for the place where it will be, and never checked against the sources again: it starts faster and writes nothing
  "$home/bin/python" -m compileall -q -j 0 -o 2 -s "$stage" -p / --invalidation-mode unchecked-hash "$home/lib"
  mkdir -p "$home/share"
  cp -r config docs README.md CHANGELOG.md LICENSE "$home/share/"
  rm -r "$home/share/config/debian"
  chmod -R u+rwX,go+rX,go-w "$stage$HOME_OF_AGENT"
}

# The wheel and the sdist, built from a copy, so that the checkout stays as it is.
distributions() { # PYTHON STAGE
  local copy=$2/source
  mkdir -p "$copy"
  cp -r pyproject.toml LICENSE README.md watchtower_agent "$copy/"
  find "$copy" -name __pycache__ -prune -exec rm -rf {} +
  (cd "$copy" && "$1" -c 'import sys; from setuptools import build_meta as b; to = sys.argv[1]; b.build_sdist(to); b.build_wheel(to)' \
    "$2/dist" >/dev/null 2>&1) || fail 3 "the wheel and the sdist could not be built"
}
