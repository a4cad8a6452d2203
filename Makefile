# DOSVM: `make run` on a fresh Debian 12 (as root or with sudo) ends in the console. `make help` lists all.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Where `make run` keeps its cloud.
DOSVM_HOME ?= /var/lib/dosvm
CACHE := .cache
BIN := .venv/bin
SAMPLE := $(CACHE)/sample-image/dosvm-sample.iso
export DOSVM_HOME

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1	\2/p' $(MAKEFILE_LIST) | expand -t 14

.PHONY: setup
setup: $(CACHE)/packages $(BIN)/dosvm $(CACHE)/catalogues $(SAMPLE) ## install what running needs: Debian packages, virtual environment, catalogues, sample guest
	@$(BIN)/python -m compileall -q core hostd dosvm_tui screens themes widgets # who may not write here would compile at each start

.PHONY: setup-test
setup-test: setup $(CACHE)/packages-test ## install what testing needs on top
	@:

.PHONY: setup-storage
setup-storage: setup-test $(CACHE)/packages-storage ## install what the tests of storage need on top: servers of NFS, CIFS, iSCSI; a kernel
	@:

.PHONY: services
services: setup ## start libvirtd and virtlogd if nobody did
	@packaging/services.sh start

.PHONY: services-stop
services-stop: ## stop the services that `make services` started
	@packaging/services.sh stop

.PHONY: run
run: setup ## set up, make the cloud the first time, start what is needed, open the console; stop it all on leaving
	@packaging/run.sh

.PHONY: check
check: $(BIN)/dosvm $(CACHE)/catalogues ## lint, format, types, contracts, translations
	@packaging/check.sh

.PHONY: test
test: setup-storage check ## everything: checks and all tests, engines included
	@packaging/services.sh start
	@packaging/test.sh

.PHONY: test-storage
test-storage: setup-storage ## NFS, CIFS, iSCSI, disks, LVM: in a virtual machine whose kernel has them; as root
	@packaging/storage-vm/run.sh

.PHONY: bench
bench: setup-test ## measure against the goals; prints figures
	@packaging/services.sh start
	@$(BIN)/pytest -m bench tests/bench -s -p no:xdist

.PHONY: soak
soak: setup-test ## the long random tests: SOAK seconds of crashes (default 600)
	@packaging/services.sh start
	@SOAK=$${SOAK:-600} $(BIN)/pytest -m soak tests -s -p no:xdist

.PHONY: translations
translations: $(BIN)/dosvm ## gather texts from the code into the catalogues
	@$(BIN)/python packaging/translations.py gather

.PHONY: clean
clean: ## remove what was built here (not the cloud, not Debian packages)
	@rm -rf .venv $(CACHE) .mypy_cache .ruff_cache .import_linter_cache .hypothesis snapshot_report.html
	@find core -name '*.mo' -delete
	@find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

# -- made once, again when what it is made from changed

$(CACHE)/packages: packaging/packages.txt
	@packaging/install-packages.sh $<
	@mkdir -p $(CACHE) && touch $@

$(CACHE)/packages-test: packaging/packages-test.txt
	@packaging/install-packages.sh $<
	@mkdir -p $(CACHE) && touch $@

$(CACHE)/packages-storage: packaging/packages-storage.txt
	@packaging/install-packages.sh --quiet-services $<
	@mkdir -p $(CACHE) && touch $@

$(BIN)/dosvm: uv.lock packaging/make-venv.sh $(CACHE)/packages
	@packaging/make-venv.sh
	@touch $@

$(CACHE)/catalogues: $(wildcard core/locale/*/LC_MESSAGES/*.po) $(BIN)/dosvm
	@$(BIN)/python packaging/translations.py compile
	@mkdir -p $(CACHE) && touch $@

$(SAMPLE): $(wildcard packaging/sample-image/*) $(CACHE)/packages
	@packaging/sample-image/build.sh $@
