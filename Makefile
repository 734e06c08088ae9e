# make demo: the main job on embedded data. make test: everything that CI checks. make quick: the tests to run while
# writing. Each sets up .venv first. ARGS adds options of pytest or of the demo: make quick ARGS='tests/methods -x'.
PYTHON ?= python3
BIN := .venv/bin

# Bytecode of what is imported is made at its import: that of the rest of PyTorch would take half a minute. It is kept,
# whatever the environment says: without it each process that imports PyTorch compiles it for seconds.
export PYTHONDONTWRITEBYTECODE :=
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile

# Processes on all cores, of one thread each; the tests of a module stay in one process, as its fixtures are costly, and
# modules come in the order of tests/conftest.py.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --dist loadscope --no-loadscope-reorder

.PHONY: demo test quick torture lint types tests docs clean bench paper-mini denoise-small regime free-photos shipped do-no-harm restorer
.DELETE_ON_ERROR:

demo: .venv/installed
	$(BIN)/unseen demo $(ARGS)

# The types are checked beside the tests, on the core that is idle when the last module is tested.
test: lint
	$(MAKE) --no-print-directory -j2 tests types

tests: .venv/installed-dev
	$(PYTEST) $(ARGS)

# All tests of the studio are slow, and all of torture: collecting them would import gradio and hypothesis.
quick: .venv/installed-dev
	$(PYTEST) --ignore tests/studio --ignore tests/torture -m "not slow and not zoo and not browser and not programs" $(ARGS)

# Kills, full disks, hostile files and names for an hour, by seeds that repeat each failure: docs/reliability.md. Inputs
# of failures are kept in torture-failures/. make torture MINUTES=5; make torture ARGS='--only pictures --seed 1'
MINUTES ?= 60
torture: .venv/installed-dev
	OMP_NUM_THREADS=1 PYTHONPATH=src:tests $(BIN)/python -m torture --minutes $(MINUTES) $(ARGS)

# What steps, data and restoring cost beside floors and rivals: writes docs/performance.md. make bench ARGS='--rounds 2'
bench: .venv/installed-bench
	$(BIN)/python benchmarks/bench.py $(ARGS)

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: .venv/installed-dev
	$(BIN)/mypy

# The documents as a site, with the reference of all public names: site/index.html, which opens without a server.
docs: .venv/installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo site/index.html

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "unseen needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 2; }
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing into .venv; the first time PyTorch makes this minutes and gigabytes."
	$(INSTALL) -c constraints.txt -e .
	touch $@

# uv takes a third of the time of pip, which stands in where uv finds no packages.
.venv/installed-dev: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing into .venv; the first time PyTorch makes this minutes and gigabytes."
	-$(INSTALL) -c constraints.txt uv
	$(BIN)/uv pip install --quiet --no-cache --python $(BIN)/python -c constraints.txt -e '.[dev]' || \
		$(INSTALL) -c constraints.txt -e '.[dev]'
	touch .venv/installed $@

# The rivals that benchmarks/ measures against.
.venv/installed-bench: .venv/installed-dev
	$(INSTALL) -c constraints.txt -e '.[dev,bench]'
	touch $@

# Every table of the paper at a small size, resumable, two studies at a time with -j2. Under four core-hours.
STUDIES := $(patsubst studies/paper-mini/%.yaml,%,$(wildcard studies/paper-mini/*.yaml))
paper-mini: $(STUDIES:%=paper-mini-%)
	$(BIN)/python studies/paper_mini.py

paper-mini-%: .venv/installed-dev
	@test -d "$$UNSEEN_TEST_DATA" || { echo "set UNSEEN_TEST_DATA to the folder of data sets: see docs/datasets.md"; exit 2; }
	OMP_NUM_THREADS=1 $(BIN)/unseen compare --config studies/paper-mini/$*.yaml

# Every method on one small network: some four core-hours on all cores, resumable; rows that are kept are not made again.
WORKERS ?= $(shell nproc 2>/dev/null || echo 1)
denoise-small: .venv/installed-dev
	@test -d "$$UNSEEN_TEST_DATA" || { echo "set UNSEEN_TEST_DATA to the folder of data sets: see docs/datasets.md"; exit 2; }
	OMP_NUM_THREADS=1 $(BIN)/unseen compare --config studies/denoise-small.yaml --workers $(WORKERS)
	OMP_NUM_THREADS=1 $(BIN)/unseen compare --config studies/denoise-small-rrdb.yaml --workers $(WORKERS)
	$(BIN)/python studies/denoise_small.py

# Networks trained past the point at which they break, and all protocols at a glance, resumable: docs/results/regime.md. Ten
# minutes or more of one core for each gray training, half an hour for the longest, two for each of the nine protocols; days of a
# core for all that the studies list, of which the kept rows have what the page shows.
MANY := $(patsubst studies/%.yaml,%,$(wildcard studies/nine-protocols/*.yaml studies/regime-networks/*.yaml))
regime: .venv/installed-dev
	@test -d "$$UNSEEN_TEST_DATA" || { echo "set UNSEEN_TEST_DATA to the folder of data sets: see docs/datasets.md"; exit 2; }
	for study in regime-gray $(MANY) regime-long regime-inner; do \
		OMP_NUM_THREADS=1 $(BIN)/unseen compare --config studies/$$study.yaml --workers $(WORKERS) || exit; \
	done
	$(BIN)/python studies/regime.py

# The photographs under open licences that the shipped denoiser learns from, in runs/shipped/photos; docs/credits.md.
free-photos: .venv/installed-dev
	@test -d "$$UNSEEN_TEST_DATA" || { echo "set UNSEEN_TEST_DATA to the folder of data sets: see docs/datasets.md"; exit 2; }
	$(BIN)/python studies/free_photos.py "$$UNSEEN_TEST_DATA/train/free" runs/shipped/photos

# The models that the package ships, trained one after the other, then tested: what is found goes into their cards. A
# training that was interrupted goes on; to train anew, remove runs/shipped and give make -B. On a GPU the first training
# of the denoiser takes some minutes, and six hours elsewhere; the second and that of denoiser_gray an hour and a half each.
SHIPPED := denoiser denoiser_gray erm dil_sf unit_noise
MORE_denoiser = cc15="$$UNSEEN_TEST_DATA/test/cc15/noisy:$$UNSEEN_TEST_DATA/test/cc15/clean" --images 24 --precision both
TESTS_denoiser_gray = cbsd68=runs/shipped/gray/cbsd68 cc15=runs/shipped/gray/cc15/noisy:runs/shipped/gray/cc15/clean
MORE_denoiser_gray = --images 24 --precision both
FIRST := $(if $(shell command -v nvidia-smi),,--budget 6h --batch 16 --patch 96 --draws exact)
BEFORE_denoiser = $(MAKE) runs/shipped/denoiser-first/checkpoint.safetensors
AFTER_denoiser = $(BIN)/python studies/restorer_share.py runs/shipped/denoiser-first runs/shipped/denoiser --write && \
	$(BIN)/python studies/kept_brightness.py runs/shipped/denoiser
INIT_gray := runs/shipped/denoiser/checkpoint.safetensors
BEFORE_denoiser_gray = $(MAKE) free-photos && mkdir -p $(dir $(INIT_gray)) && \
	{ test -e $(INIT_gray) || cp src/unseen/models/shipped/denoiser.safetensors $(INIT_gray); }
AFTER_denoiser_gray = $(BIN)/python studies/kept_brightness.py runs/shipped/denoiser_gray && \
	$(BIN)/python studies/gray_copies.py "$$UNSEEN_TEST_DATA/test" runs/shipped/gray cbsd68 cc15
BEGUN = $$(test -e $(1)/resume.safetensors && echo --resume || echo --overwrite)
shipped: $(SHIPPED:%=src/unseen/models/shipped/%.safetensors)

runs/shipped/denoiser-first/checkpoint.safetensors: studies/shipped/denoiser-first.yaml | free-photos
	$(BIN)/unseen train --config $< $(FIRST) $(call BEGUN,$(@D))

src/unseen/models/shipped/denoiser_gray.safetensors: src/unseen/models/shipped/denoiser.safetensors

src/unseen/models/shipped/%.safetensors: studies/shipped/%.yaml | .venv/installed-dev
	@test -d "$$UNSEEN_TEST_DATA" || { echo "set UNSEEN_TEST_DATA to the folder of data sets: see docs/datasets.md"; exit 2; }
	$(BEFORE_$*)
	OMP_NUM_THREADS=1 $(BIN)/unseen train --config $< $(call BEGUN,runs/shipped/$*)
	$(AFTER_$*)
	OMP_NUM_THREADS=1 $(BIN)/unseen evaluate runs/shipped/$* --card true --threads 1 --out runs/shipped/$*-test --overwrite \
		--test $(or $(TESTS_$*),cbsd68="$$UNSEEN_TEST_DATA/test/cbsd68") $(MORE_$*)
	cp runs/shipped/$*/checkpoint.safetensors $@

# What the harm check of `unseen restore` buys and costs, and its thresholds: docs/results/do-no-harm.md
do-no-harm: free-photos
	@test -d "$$UNSEEN_TEST_DATA" || { echo "set UNSEEN_TEST_DATA to the folder of data sets: see docs/datasets.md"; exit 2; }
	OMP_NUM_THREADS=1 $(BIN)/python studies/do_no_harm.py --model denoiser \
		--photos runs/shipped/photos --data "$$UNSEEN_TEST_DATA"

# What the shipped denoiser reaches, and crops beside its rivals: docs/results/restorer.md. The rivals need
# `pip install bm3d opencv-python-headless`, once; bm3d may be used for what is not commercial.
restorer: .venv/installed-dev
	@test -d "$$UNSEEN_TEST_DATA" || { echo "set UNSEEN_TEST_DATA to the folder of data sets: see docs/datasets.md"; exit 2; }
	$(BIN)/python studies/restorer.py --model denoiser --data "$$UNSEEN_TEST_DATA"
	$(BIN)/python studies/restorer.py --model denoiser_gray --data "$$UNSEEN_TEST_DATA"
	$(BIN)/python studies/restorer_rivals.py --data "$$UNSEEN_TEST_DATA"
	$(BIN)/python studies/restorer_page.py --model denoiser --data "$$UNSEEN_TEST_DATA"

clean:
	rm -rf .venv build site *.egg-info src/*.egg-info .mypy_cache .pytest_cache .ruff_cache
