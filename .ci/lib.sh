# What .ci/run and .ci/full share. Sourced by them, never run by itself.
# shellcheck shell=bash

set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The two Go releases that get fixes, the oldest first: everything that is not repeated for both runs on the oldest.
go_releases=(go1.26.8 go1.27.4)
gotestsum=gotest.tools/gotestsum@v1.13.0

export GOTOOLCHAIN=${go_releases[0]}

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
mkdir "$scratch/events"
outcomes=()
failures=()

# attempt COMMAND...: leaves its exit status in $status. Not "COMMAND || status=$?": on the left of || bash ignores
# set -e also within a function, and a line that fails in the middle of it would pass.
attempt() {
  set +e
  (
    set -e
    "$@"
  )
  status=$?
  set -e
}

# check TITLE COMMAND...: one section of the output. A failure is noted and the script goes on.
check() {
  local title=$1 start=$SECONDS outcome=ok status
  shift
  printf '\n=== %s\n' "$title"
  attempt "$@"
  if ((status != 0)); then
    outcome=FAILED
    failures+=("$title")
  fi
  outcomes+=("$(printf '%6d s  %-6s  %s' $((SECONDS - start)) "$outcome" "$title")")
  printf -- '--- %s, %d s\n' "$outcome" $((SECONDS - start))
}

# summary: the times, the failed checks, and last the line with the number of tests.
summary() {
  printf '\n=== summary, %d s in all\n' "$SECONDS"
  printf '%s\n' "${outcomes[@]}"
  local passed failed
  passed=$(count_tests pass)
  failed=$(count_tests fail)
  if ((passed == 0)); then
    failures+=('no test has passed')
  fi
  if ((${#failures[@]} > 0)); then
    printf '\nfailed:\n'
    printf '  %s\n' "${failures[@]}"
  fi
  printf '\n%d passed, %d failed\n' "$passed" "$failed"
  ((${#failures[@]} == 0))
}

# count_tests pass|fail|skip: in the events of every go_test so far. Package events have no "Test".
count_tests() {
  find "$scratch/events" -type f -exec cat {} + | grep -c "\"Action\":\"$1\".*\"Test\":" || true
}

# files PATTERN...: what git tracks, and what it would track after 'git add'.
files() {
  git ls-files --cached --others --exclude-standard -- "$@"
}

# modules: the folder of every go.mod.
modules() {
  files go.mod '*/go.mod' | xargs -r -n 1 dirname
}

# in_every_module COMMAND...: goes on after a failure, so that one run shows the failures of all modules.
in_every_module() {
  local module status failed=0
  for module in $(modules); do
    printf '[module %s]\n' "$module"
    attempt in_folder "$module" "$@"
    ((status == 0)) || failed=1
  done
  return "$failed"
}

in_folder() {
  cd "$1"
  shift
  "$@"
}

# with_frameworks MODULE@VERSION...: the adapters' tests with these versions, in the place of the oldest ones that go.mod
# names. They are in a copy of go.mod, so that the tree stays as it is.
with_frameworks() {
  (($# > 0))
  cp go.mod "$scratch/frameworks.mod"
  cp go.sum "$scratch/frameworks.sum"
  go get -modfile "$scratch/frameworks.mod" "$@"
  go test -modfile "$scratch/frameworks.mod" -count=1 ./chiadapter ./ginadapter ./echoadapter ./internal/conformance
}

# required FORMAT: a line for each module that the module in the current folder requires directly, others' alone.
required() {
  go list -m -f "{{if not (or .Main .Indirect .Replace)}}$1{{end}}" all
}

# tool MODULE@VERSION: installs a Go program once per version and prints where it is. Built with the newest release,
# because a linter reads the export data of every release up to its own.
tool() {
  local name folder
  name=$(basename "${1%@*}")
  folder=${XDG_CACHE_HOME:-$HOME/.cache}/politeclose-ci/$name-${1#*@}
  if [[ ! -x $folder/$name ]]; then
    GOTOOLCHAIN=${go_releases[-1]} GOBIN=$folder go install "$1" >&2
  fi
  printf '%s\n' "$folder/$name"
}

# newest_go: the newest Go that the module proxy has, release candidates included.
newest_go() {
  printf 'go%s\n' "$(go list -m -versions go | grep -oE '[^ ]+$')"
}

# go_test FLAG...: the tests of the module in the current folder, run afresh. A skipped test is a failure: here
# everything that a test could need is installed.
go_test() {
  local events skipped status=0
  events=$(mktemp "$scratch/events/XXXXXX")
  "$(tool "$gotestsum")" --format standard-quiet --jsonfile "$events" -- -count=1 "$@" ./... || status=1
  skipped=$(grep -o '"Action":"skip".*"Test":"[^"]*"' "$events" || true)
  if [[ -n $skipped ]]; then
    printf 'skipped, which the checks do not allow:\n%s\n' "$skipped"
    status=1
  fi
  return "$status"
}

# fuzz_module DURATION: every fuzz target of the module in the current folder, for so long each. With the newest release:
# before Go 1.27 a target failed now and then with the end of its time (go.dev/issue/75804).
fuzz_module() {
  local -x GOTOOLCHAIN=${go_releases[-1]}
  local listing first second target status=0 targets=()
  listing=$(go test -list '^Fuzz' ./...)
  while read -r first second _; do
    case $first in
      Fuzz*) targets+=("$first") ;;
      ok)
        for target in "${targets[@]}"; do
          printf '%s %s\n' "$second" "$target"
          go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" "$second" || status=1
        done
        targets=()
        ;;
    esac
  done <<<"$listing"
  return "$status"
}

# debian_packages: installs what the tests drive and the machine lacks.
debian_packages() {
  local missing=()
  installed() { command -v "$1" >/dev/null || missing+=("$2"); }
  installed nginx nginx-light
  installed haproxy haproxy
  installed apache2 apache2
  installed caddy caddy
  installed varnishd varnish
  installed squid squid
  installed traffic_server trafficserver
  installed lighttpd lighttpd
  installed h2load nghttp2-client
  installed ab apache2-utils
  installed curl curl
  installed node nodejs
  installed gcc gcc
  installed shellcheck shellcheck
  installed promtool prometheus
  installed chromium chromium
  installed npm npm
  installed javac default-jdk-headless
  installed ruby ruby
  installed php php-cli
  php -m 2>/dev/null | grep -qx curl || missing+=(php-curl)
  local module
  for module in requests urllib3 aiohttp httpx; do
    # By its full name: another python3 earlier in PATH does not see Debian's modules.
    /usr/bin/python3 -c "import $module" 2>/dev/null || missing+=(python3 "python3-$module")
  done
  /usr/bin/python3 -c 'import gi; gi.require_version("Soup", "3.0")' 2>/dev/null || missing+=(python3 python3-gi gir1.2-soup-3.0)
  install_debian_packages "${missing[@]}"
}

# more_debian_packages: installs what the tests drive only at their full size.
more_debian_packages() {
  local missing=()
  jar() { [[ -e /usr/share/java/$1.jar ]] || missing+=("$2"); }
  command -v wrk >/dev/null || missing+=(wrk)
  command -v firefox-esr >/dev/null || missing+=(firefox-esr)
  /usr/bin/python3 -c 'import h2' 2>/dev/null || missing+=(python3-h2) # for httpx over HTTP/2
  jar httpclient5 libhttpclient5-java
  jar okhttp libokhttp-java
  install_debian_packages "${missing[@]}"
}

# install_debian_packages PACKAGE...: none is fine, too.
install_debian_packages() {
  local missing=("$@")
  if ((${#missing[@]} == 0)); then
    echo 'nothing is missing'
    return
  fi
  printf 'missing: %s\n' "${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # At run level 1 the packages start no service: the tests start their own.
  RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$scratch/apt.log" 2>&1 || {
    cat "$scratch/apt.log"
    return 1
  }
}

# npm_packages: those of Node's clients that are not part of Node, where they are used.
npm_packages() {
  in_folder internal/interop/testdata npm_install
}

# more_npm_packages: what only the full sizes drive. It has a Node of its own.
more_npm_packages() {
  in_folder internal/interop/testdata/node22 npm_install
}

npm_install() {
  npm install --no-package-lock --no-audit --no-fund --prefer-offline
}
