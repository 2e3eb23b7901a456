PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
SYSTEM_TESTS := tests/conformance/google-cloud-pubsub.txt
# By itself: beside Beam's dependencies tox finds a plugin that has nothing to do here.
TOX := .tox/bootstrap/bin/tox

.PHONY: demo test lint unit integration conformance perf images containers install lock clean

demo: install
	@$(BIN)/dataflow-serving demo

test: install $(TOX)
	@$(TOX) run

lint unit integration conformance perf: install $(TOX)
	@$(TOX) run -e $@

# IMAGES=--pull or --build says where they come from (containers/build_images).
images:
	@containers/build_images $(IMAGES)

# What `make test` skips: the emulators of others, and our own image.
containers: install images
	@DATAFLOW_SERVING_TEST_CONTAINERS=1 TF_CPP_MIN_LOG_LEVEL=2 TF_ENABLE_ONEDNN_OPTS=0 \
	  DATAFLOW_SERVING_GOCCY=$$(ls -t build/containers/bigquery-emulator-* 2>/dev/null | head -n 1) \
	  $(BIN)/pytest tests/integration/conformance --numprocesses=2 --dist=loadfile \
	  -k "containers or own_image or goccy"

install: $(INSTALLED)
	@:

$(INSTALLED): pyproject.toml requirements.lock $(SYSTEM_TESTS)
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else \
	  "Python 3.11, 3.12 or 3.13 is needed; name one: make PYTHON=python3.12 ...")'
	@echo "installing into .venv: 2.4 GB, a minute or two"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint requirements.lock --editable ".[dev]"
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --require-hashes \
	  --no-deps --no-binary google-cloud-pubsub \
	  --dest .venv/share/google-cloud-pubsub --requirement $(SYSTEM_TESTS)
	@touch $@

$(TOX): requirements.lock
	@$(PYTHON) -m venv .tox/bootstrap
	@.tox/bootstrap/bin/python -m pip install --quiet --disable-pip-version-check \
	  --constraint requirements.lock tox
	@touch $@

# The versions that development and CI use, for every supported Python at once.
lock: install
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade \
	  --all-extras --no-annotate --output-file requirements.lock pyproject.toml

clean:
	rm -rf .tox .venv build dist
