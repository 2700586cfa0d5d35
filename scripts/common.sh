# What the scripts share: words to the user, Debian packages, the virtual environment. Sourced from the checkout's root.
# shellcheck shell=bash

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }

interrupted=false # scripts with something to stop or remove set it by a trap, and say themselves that they were interrupted

# What Ctrl-C ended is followed by nothing else.
unless_interrupted() { ! $interrupted || exit 130; }

fail() { # STATUS MESSAGE
  local status=$1
  shift
  unless_interrupted # a command that Ctrl-C ended has not failed
  say "$*"
  exit "$status"
}

APT_UPDATED=false

is_root() { [[ $(id -u) == 0 ]]; }

# Whether systemd runs this machine's services.
has_systemd() { [[ -d /run/systemd/system ]]; }

# Sets PYTHON to the python3 to use: the one on PATH if it is new enough, else Debian's, installed if need be.
choose_python() {
  python_on_this_machine && return
  debian_packages "the agent" python3-venv || exit 3
  python_on_this_machine ||
    fail 3 "Python 3.11 or newer is needed and neither python3 on PATH nor /usr/bin/python3 is that; Debian 12 and later bring it"
}

python_on_this_machine() {
  for PYTHON in python3 /usr/bin/python3; do
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return
  done
  return 1
}

# Debian's package for each command that is missing, one a line. A machine with another maker's engine keeps it.
missing_packages() { # PACKAGE...
  local package
  for package in "$@"; do
    case $package in
      docker.io) command -v dockerd ;;
      docker-cli) command -v docker ;;
      docker-buildx) docker buildx version ;;
      docker-compose) docker compose version ;;
      mosquitto) command -v mosquitto || [[ -x /usr/sbin/mosquitto ]] ;;
      mosquitto-clients) command -v mosquitto_sub ;;
      busybox-static) static_busybox ;;
      iproute2) command -v ip ;;
      e2fsprogs) [[ -x /usr/sbin/mke2fs ]] ;;
      qemu-system-x86) command -v qemu-system-x86_64 ;;
      openssh-server) [[ -x /usr/sbin/sshd ]] ;;
      openssh-client) command -v ssh ;;
      systemd) command -v systemd-analyze ;;
      python3-venv) /usr/bin/python3 -c 'import ensurepip, venv' ;;
      ca-certificates) [[ -s /etc/ssl/certs/ca-certificates.crt ]] ;;
      *) command -v "$package" ;;
    esac >/dev/null 2>&1 || echo "$package"
  done
}

# The path of a busybox that needs no libraries: images are made of it.
static_busybox() {
  local path
  path=$(readlink -f "$(command -v busybox)") && [[ -n $path ]] && ! ldd "$path" >/dev/null 2>&1 && echo "$path"
}

# Installs what is missing of these packages, saying so first. Without root: says what is missing and returns 1.
debian_packages() { # WHY PACKAGE...
  local why=$1 missing
  shift
  mapfile -t missing < <(missing_packages "$@")
  unless_interrupted # the search, too: nothing may be missing
  ((${#missing[@]})) || return 0
  if ! is_root || ! command -v apt-get >/dev/null; then
    say "$why needs ${missing[*]}, and only root on a Debian machine can install them; run: sudo apt-get install ${missing[*]}"
    return 1
  fi
  local services=""
  if has_systemd && [[ " ${missing[*]} " =~ \ (docker\.io|mosquitto|prometheus|openssh-server)\  ]]; then
    services=" (Debian starts their services at once and at every boot)"
  fi
  say "installing from Debian for $why: ${missing[*]}$services"
  local log
  log=$(mktemp)
  if ! { { $APT_UPDATED || apt-get update -qq; } && APT_UPDATED=true &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } \
    >"$log" 2>&1 </dev/null; then
    $interrupted || tail -n 15 "$log" >&2
    rm -f "$log"
    fail 3 "apt-get could not install ${missing[*]}; its last words are above"
  fi
  rm -f "$log"
  hash -r
}

# Makes or refreshes the virtual environment DIR with what the lock files say, hashes checked, and this checkout in it.
# Nothing is done when it holds just that already. A link instead of a folder is somebody's own environment: used as it is.
virtual_environment() { # DIR PYTHON LOCK...
  local dir=$1 python=$2 lock log wanted=()
  shift 2
  [[ -L $dir ]] && return
  for lock in "$@"; do
    cmp -s "$lock" "$dir/$lock" || wanted+=("$lock")
  done
  # one that Ctrl-C ended has a python and no pip yet
  if [[ ! -x $dir/bin/python ]] || [[ $("$dir/bin/python" -V 2>&1) != $("$python" -V) ]] ||
    { [[ ! -e $dir/$1 ]] && ! "$dir/bin/python" -c 'import pip' 2>/dev/null; }; then
    wanted=("$@")
    own_environment "$dir" "$python"
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
      debian_packages "a virtual environment" python3-venv || exit 3
    fi
    say "making the virtual environment $dir with $("$python" -V)"
    rm -rf "$dir"
    "$python" -m venv "$dir"
  fi
  ((${#wanted[@]})) || return 0
  own_environment "$dir" "$python"
  say "installing what ${wanted[*]} lists into $dir, hashes checked"
  log=$(mktemp)
  # the checkout itself is built with the locked setuptools, so that nothing unlocked is fetched for it
  if ! (
    for lock in "${wanted[@]}"; do
      "$dir/bin/python" -m pip --disable-pip-version-check install --no-deps --require-hashes -r "$lock" || exit 1
    done
    "$dir/bin/python" -m pip --disable-pip-version-check install --no-deps --no-build-isolation --no-index -e .
  ) >"$log" 2>&1; then
    $interrupted || tail -n 15 "$log" >&2
    rm -f "$log"
    fail 3 "pip could not install what ${wanted[*]} lists; its last words are above"
  fi
  rm -f "$log"
  cp "$@" "$dir/"
}

# Fails where this user can't change the environment DIR: somebody else, most often root, has made it.
own_environment() { # DIR PYTHON
  local dir=$1 python=$2 theirs
  unless_interrupted
  if [[ ! -e $dir ]]; then
    theirs=$(stat -c %U .)
    [[ -w . ]] || fail 3 "$dir can't be made in $PWD, which is $theirs's: run this as $theirs, or use a checkout of your own"
  elif theirs=$(find "$dir" ! -type l ! -writable -print -quit 2>/dev/null) && [[ -n $theirs ]]; then
    theirs=$(stat -c %U "$theirs")
    fail 3 "$dir was made by $theirs and needs to be renewed for $("$python" -V) and the lock files, which only $theirs can:" \
      "run this as $theirs, or remove it (sudo rm -rf $PWD/$dir) and run this again"
  fi
}
