# Sourced by bin/demo and bin/test: finds Python 3.11 or newer, lets it prepare .venv, and says what to type
# where there is none. POSIX sh: this runs before anything is installed.

ROOT=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
cd "$ROOT" || exit 1

find_python() {
    for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3.14 python3 python; do
        [ -n "$candidate" ] || continue
        command -v "$candidate" >/dev/null 2>&1 || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

say_how_to_get_python() {
    echo "Good Terms needs Python 3.11 or newer, and none was found. Install it and start again:" >&2
    if command -v apt-get >/dev/null 2>&1; then echo "    sudo apt-get install -y python3" >&2
    elif command -v dnf >/dev/null 2>&1; then echo "    sudo dnf install -y python3.12" >&2
    elif command -v apk >/dev/null 2>&1; then echo "    sudo apk add python3" >&2
    elif command -v pacman >/dev/null 2>&1; then echo "    sudo pacman -S python" >&2
    elif command -v brew >/dev/null 2>&1; then echo "    brew install python@3.12" >&2
    else echo "    https://www.python.org/downloads/" >&2
    fi
    echo "or name one that is elsewhere:  PYTHON=/path/to/python3.11 $0" >&2
}

prepare() {
    if ! PYTHON_FOUND=$(find_python); then
        say_how_to_get_python
        exit 1
    fi
    "$PYTHON_FOUND" bin/bootstrap.py "$@" || exit 1
}
