# Two commands do everything on a fresh machine: `make demo` opens the page, `make test` runs all tests.
# Both set up what they need, and start at once the second time.

PYTHON ?= python3
VOILA ?=
RUN := .venv/bin/python

.PHONY: demo test

demo: .venv/installed
	JUPYTER_PATH=$(CURDIR)/utils/dashboard/share/jupyter $(RUN) -m voila huggingtweets-demo.ipynb $(VOILA)

test: .venv/installed .venv/browser
	$(RUN) -m pytest tests --nbval-lax huggingtweets-demo.ipynb

.venv/installed: requirements.txt constraints.txt
	test -x $(RUN) || $(PYTHON) -m venv .venv
	$(RUN) -m pip install --disable-pip-version-check -q -r requirements.txt -c constraints.txt
	touch $@

# The tests of the page need a Chromium: the one that is installed, else the distribution's, else Playwright's.
.venv/browser: .venv/installed
	command -v chromium || command -v chromium-browser || command -v google-chrome \
	|| { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq chromium; } \
	|| $(RUN) -m playwright install chromium
	touch $@
