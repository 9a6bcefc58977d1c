# Two commands do everything on a fresh machine: `make demo` and `make test`.
# Both set up what they need, and start at once the second time.

PYTHON ?= python3
MINUTES ?= 5
RUN := .venv/bin/python

.PHONY: demo test

demo: .venv/installed
	$(RUN) -m utils train sample:keeperfinch --minutes $(MINUTES)
	$(RUN) -m utils tweet bots/keeperfinch -n 10

test: .venv/installed
	$(RUN) -m pytest

.venv/installed: requirements.txt constraints.txt
	test -x $(RUN) || $(PYTHON) -m venv .venv
	$(RUN) -m pip install --disable-pip-version-check -q -r requirements.txt -c constraints.txt
	touch $@
