#!/bin/bash
# Makes .venv exactly as uv.lock says. uv itself comes from PyPI when it is not there.
set -euo pipefail
cd "$(dirname "$0")/.."
# The machine's own certificates: behind a company's proxy only those are right.
export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-true}
uv=$(command -v uv || true)
if [ -z "$uv" ]; then
	uv=.cache/uv/bin/uv
	if [ ! -x "$uv" ]; then
		python3 -m venv .cache/uv
		.cache/uv/bin/pip --quiet --disable-pip-version-check install 'uv>=0.9'
	fi
fi
# Debian's own python3 (3.11 or later) is enough; uv must not fetch another. An environment that is there stays.
if [ -x .venv/bin/python ]; then
	python=.venv/bin/python
else
	python=$(command -v python3)
fi
"$uv" sync --quiet --frozen --python "$python" --no-python-downloads
