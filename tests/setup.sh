#!/bin/sh
# Installs what is missing from Debian's packages, and says so. `setup.sh build`; also for `test`, `bench`,
# `valgrind` or `fuzz`. Does nothing when nothing is missing.
set -eu
cd "$(dirname "$0")/.."
want=${1:-build}
missing=

have() { command -v "$1" >/dev/null 2>&1; }
need_command() { have "$1" || missing="$missing $2"; }
need_library() { { have pkg-config && pkg-config --exists "$1"; } || missing="$missing $2"; }
need_file() { [ -e "$1" ] || missing="$missing $2"; }

need_command gcc gcc
need_command make make
need_command pkg-config pkg-config
need_file /usr/include/stdlib.h libc6-dev
need_library lua5.4 liblua5.4-dev
need_library libuv libuv1-dev
need_library libcurl libcurl4-openssl-dev
need_library libcjson libcjson-dev
need_library libmicrohttpd libmicrohttpd-dev
need_library libpq libpq-dev
need_library sqlite3 libsqlite3-dev
need_library libcrypto libssl-dev
need_file /usr/share/zoneinfo/Europe/Berlin tzdata
need_file /etc/ssl/certs/ca-certificates.crt ca-certificates
if [ "$want" != build ]; then
  need_library cmocka libcmocka-dev
  need_command luacheck lua-check
  need_command node nodejs
  need_command npm npm
  need_command sqlite3 sqlite3
fi

if [ "$want" = test ]; then
  need_command chromium chromium
  need_file "$(ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null | head -n 1)" postgresql
fi

if [ "$want" = valgrind ]; then
  need_command valgrind valgrind
fi

# npm builds better-sqlite3 where no prebuilt one can be had.
if [ "$want" = bench ]; then
  need_command g++ g++
  need_command python3 python3
fi

if [ "$want" = fuzz ]; then
  need_command clang clang
  need_file "$(ls -d /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-x86_64.a 2>/dev/null | head -n 1)" libclang-rt-14-dev
fi

if [ -n "$missing" ]; then
  sudo=
  [ "$(id -u)" -eq 0 ] || sudo=sudo
  if ! have apt-get || { [ -n "$sudo" ] && ! have sudo; }; then
    echo "Missing (names of Debian 12's packages):$missing" >&2
    echo "This needs apt-get, and root or sudo: install them as root, then run this again." >&2
    exit 1
  fi
  echo "Installing from Debian's packages:$missing${sudo:+ (through sudo)}"
  DEBIAN_FRONTEND=noninteractive
  export DEBIAN_FRONTEND
  $sudo apt-get update -q >/dev/null
  # shellcheck disable=SC2086
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing >/dev/null
fi
