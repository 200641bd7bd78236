# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# `make` says what there is. All that is made comes to lie in .build, apart from Debian packages and container images.

MAKEFLAGS += --no-print-directory
SHELL := /bin/bash

PYTHON ?= /usr/bin/python3
NAME ?= web
HOSTS ?= 5
IMAGE ?= bookworm
SCENARIO ?=
PART ?=
SAMPLE ?=
WRITE ?=

VENV := .build/venv
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
SCENARIOS := $(sort $(patsubst molecule/%/molecule.yml,%,$(wildcard molecule/*/molecule.yml)))

# The containers of the fleet (podman and what it runs with, mmdebstrap for their images), clients to look at them with
# (curl, openssl, ssh), load (wrk), and what checks this repository.
PACKAGES := aardvark-dns ca-certificates curl faketime iproute2 iptables mmdebstrap netavark nftables openssh-client openssh-sftp-server \
	openssl podman python3-venv runc shellcheck strace wrk

.PHONY: help setup packages venv collections acme-servers fleet fleet-down images demo \
	unit unit-edges versions faults lint format specs molecule install-test bench build test clean

help: ## What there is
	@echo 'make TARGET, on Debian 12 or later, as root or as a user who can sudo:'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s%s\n", $$1, $$2 }' Makefile
	@echo
	@echo 'Each target installs what it needs and is missing: Python tools in $(VENV), and of'
	@echo 'Debian $(PACKAGES)'

setup: venv collections ## Install what everything else needs, and say what that is

packages: .build/packages
.build/packages: Makefile
	@command -v apt-get > /dev/null || { echo 'There is no apt-get here; run this on Debian 12 or later.' >&2; exit 1; }
	@mkdir -p .build
	@missing=$$(for package in $(PACKAGES); do \
		dpkg-query --show --showformat '$${Status}' $$package 2> /dev/null | grep -q 'ok installed' || echo $$package; \
	done | xargs); \
	if [ -n "$$missing" ]; then \
		echo "Installing Debian packages: $$missing"; \
		$(SUDO) apt-get update -qq; `# a list that has expired may still do` \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends $$missing > .build/apt.log \
			|| { cat .build/apt.log; exit 1; }; \
	fi
	@touch $@

venv: $(VENV)/complete
$(VENV)/complete: requirements.txt dev/requirements.txt .build/packages
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		f"{sys.executable} is older than Python 3.11; say PYTHON=… with a newer one")'
	@echo 'Installing the Python tools of dev/requirements.txt into $(VENV)'
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement dev/requirements.txt
	@touch $@

collections: ## Let Ansible find this checkout: ANSIBLE_COLLECTIONS_PATH=.build/collections
	@mkdir -p .build/collections/ansible_collections/evergreen
	@ln -sfn ../../../.. .build/collections/ansible_collections/evergreen/tls

acme-servers: ## Unpack the ACME servers that tests order from
	@dev/acme-servers

fleet: setup ## Start servers in containers: HOSTS=5 IMAGE=bookworm,trixie NAME=web
	@dev/fleet up $(NAME) --hosts $(HOSTS) --image $(IMAGE)

fleet-down: setup ## Remove them: NAME=web
	@dev/fleet down $(NAME)

images: setup ## Build the images of the four Debian releases, where they are missing
	@dev/fleet image bullseye bookworm trixie sid

demo: setup ## See it work: five servers, from bare nginx to HTTPS and through a renewal under load
	@dev/demo

test: setup acme-servers ## Everything below that checks, three at a time, with a summary
	@set -- 'make unit' 'make unit-edges' 'make versions' 'make faults SAMPLE=yes'; \
	for check in $$(dev/lint --list); do set -- "$$@" "dev/lint $$check"; done; \
	for scenario in $(SCENARIOS); do set -- "$$@" "dev/molecule test $$scenario"; done; \
	dev/run-steps --at-once 3 "$$@" 'make install-test'

unit: setup acme-servers ## Unit tests, with the newest libraries
	@dev/run-tests unit tests/unit

# The last three are the cryptography of RHEL 9, Ubuntu 22.04 and Ubuntu 24.04, with the nearest Python that Debian has.
unit-edges: setup ## Unit tests of what runs on hosts, in all Debian releases and with the cryptography of others
	@dev/unit-edges bullseye bookworm trixie sid bullseye/36.0.1 bookworm/3.4.8 trixie/41.0.7

versions: setup ## Deploy, renew and survey with the oldest and the newest ansible-core
	@dev/versions

faults: setup ## Kill, full disk and power loss at every system call, with a table; SAMPLE=yes, or PART=kills
	@dev/run-tests faults tests/faults$(if $(PART),/test_$(PART).py) $(if $(SAMPLE),--sample) $(if $(WRITE),--write $(WRITE))

lint: setup ## The form of code, documentation and configuration; `dev/lint --list` names the checks
	@dev/lint

format: setup ## Put Python files into the form that lint wants
	@$(VENV)/bin/ruff check --quiet --fix && $(VENV)/bin/ruff format --quiet

specs: ## Write the options of requests and sites, as modules document them, into the specifications of roles
	@dev/role-specs

molecule: setup ## Behaviour on real servers: all scenarios, or SCENARIO=deploy
	@dev/run-steps $(foreach scenario,$(or $(SCENARIO),$(SCENARIOS)),'dev/molecule test $(scenario)')

install-test: build ## Install the tarball into an empty folder and use it from there
	@dev/install-test

bench: setup ## Compare with other ways to the same end, grow to thousands, have 100 certificates by ACME; or one of them, PART=scale
	@dev/bench $(PART)

build: setup ## The tarball for Galaxy, in .build
	@$(VENV)/bin/ansible-galaxy collection build --force --output-path .build

clean: ## Remove all containers of this checkout, and .build; images and Debian packages stay
	@if [ -d .build/fleets ]; then dev/fleet down --all; fi
	@$(SUDO) rm -rf .build
