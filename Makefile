# tox owns the virtual environment of the project, .venv; this one holds tox alone.
PYTHON ?= python3
TOX := .tox/bootstrap/bin/tox

.PHONY: demo test lint unit integration perf lock clean

demo: $(TOX)
	$(TOX) run -qq -e demo

test: $(TOX)
	$(TOX) run

lint unit integration perf: $(TOX)
	$(TOX) run -e $@

$(TOX):
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else "Python 3.11, 3.12 or 3.13 is needed; name one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .tox/bootstrap
	$(TOX:tox=python) -m pip install --quiet --constraint requirements.lock tox

# The versions that development and CI use, for every supported Python at once.
lock: $(TOX)
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --upgrade \
	  --all-extras --no-annotate --output-file requirements.lock pyproject.toml

clean:
	rm -rf .tox .venv build dist
