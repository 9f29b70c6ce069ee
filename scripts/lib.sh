# What the scripts share: where things are, a server on free ports, and its end.
# Sourced, not run. The caller has `set -euo pipefail`.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
E2E=$ROOT/tests/e2e
VENV=$ROOT/target/venv
TOOLS=$ROOT/target/tools
SCHEMA=$ROOT/target/grafana-schema
# A step that cannot run here ends with this code; its last line says why.
SKIPPED=77

SERVER_PID=
SERVER_LOG=

say() { printf '%s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
skip() { printf 'skipped: %s\n' "$*"; exit "$SKIPPED"; }
# A program on the PATH; a function of the same name does not count.
has() { type -P "$1" >/dev/null 2>&1; }

# Ends the server that this script started, by its id, and waits for it.
stop_server() {
    [ -n "$SERVER_PID" ] || return 0
    local pid=$SERVER_PID
    SERVER_PID=
    kill -TERM "$pid" 2>/dev/null || return 0
    local tries=0
    while kill -0 "$pid" 2>/dev/null && [ $tries -lt 100 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
}

# start_server BINARY [ARGUMENT…]: a server on free ports; with `--dev` among the
# arguments a development server. Sets SERVER_PID, SERVER_LOG, PUBLIC and INTERNAL
# (addresses as host:port).
start_server() {
    local binary=$1
    shift
    [ -x "$binary" ] || die "$binary is not built"
    SERVER_LOG=$(mktemp "${TMPDIR:-/tmp}/hubbub-server.XXXXXX")
    "$binary" serve --listen 127.0.0.1:0 --internal-listen 127.0.0.1:0 \
        --set shutdown.drain=1s "$@" >"$SERVER_LOG" 2>"$SERVER_LOG.err" &
    SERVER_PID=$!
    trap stop_server EXIT
    local tries=0
    until grep -q '^internal ' "$SERVER_LOG"; do
        if ! kill -0 "$SERVER_PID" 2>/dev/null || [ $tries -ge 300 ]; then
            tail -n 20 "$SERVER_LOG" "$SERVER_LOG.err" >&2
            die "the server did not start"
        fi
        sleep 0.1
        tries=$((tries + 1))
    done
    PUBLIC=$(sed -n 's|^public  *http://||p' "$SERVER_LOG")
    INTERNAL=$(sed -n 's|^internal  *http://||p' "$SERVER_LOG")
}

# install_once FOLDER LIST COMMAND…: runs the command, which makes FOLDER, when LIST
# has changed since it did so the last time.
install_once() {
    local mark=$1/.installed list=$2
    shift 2
    if [ -f "$mark" ] && cmp -s "$mark" "$list"; then
        return 0
    fi
    say "installs what ${list#"$ROOT"/} pins"
    "$@" || return 1
    cp "$list" "$mark"
}

make_venv() {
    python3 -m venv --clear "$VENV" &&
        "$VENV/bin/pip" install --quiet --disable-pip-version-check --no-input -r "$E2E/requirements.txt"
}

install_packages() {
    (cd "$E2E" && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-audit --no-fund --loglevel=error)
}

make_schema() {
    mkdir -p "$SCHEMA" && cp "$ROOT"/grafana/schema/package{,-lock}.json "$SCHEMA" &&
        (cd "$SCHEMA" && npm ci --no-audit --no-fund --loglevel=error)
}

# The packages of Python (in $VENV) and of Node (below $E2E, in $SCHEMA) that the tests use.
install_python() { install_once "$VENV" "$E2E/requirements.txt" make_venv; }
install_node() { install_once "$E2E/node_modules" "$E2E/package-lock.json" install_packages; }
install_schema() { install_once "$SCHEMA" "$ROOT/grafana/schema/package-lock.json" make_schema; }
