# Three commands do everything on a fresh machine: `make demo` opens the page, `make test` runs all tests,
# `make benchmark` measures (BENCHMARK=--quick in ten minutes). All set up what they need, and start at once the second time.
# `make pictures` takes the README's screenshots anew, from a test that trains for five minutes (MINUTES=10 for ten).

PYTHON ?= python3
VOILA ?=
BENCHMARK ?=
MINUTES ?= 5
RUN := .venv/bin/python

.PHONY: demo test test-lowest test-newest benchmark pictures

demo: .venv/installed
	JUPYTER_PATH="$(CURDIR)/utils/dashboard/share/jupyter" $(RUN) -m voila huggingtweets-demo.ipynb $(VOILA)

test: .venv/installed .venv/browser
	HUGGINGTWEETS_EFFORT=test $(RUN) -m pytest tests --nbval-lax huggingtweets-demo.ipynb huggingtweets-dev.ipynb

# The fast tests with the lowest versions that requirements.txt admits, and with the newest. What the project's own
# files say of versions and style holds for the tested ones alone.
test-lowest test-newest: test-%: .venv-%/installed
	$(<D)/bin/python -m pytest tests -m "not slow" --ignore tests/test_project.py --ignore tests/test_readme.py

benchmark: .venv/benchmark
	PYTHONPATH=tests $(RUN) -m benchmarks $(BENCHMARK)

pictures: .venv/installed .venv/browser
	PICTURES="$(CURDIR)/tests/browser/pictures" MINUTES=$(MINUTES) $(RUN) -m pytest tests/browser/test_page.py -k whole_way

.venv/installed: requirements.txt constraints.txt
	@$(RUN) -m pip --version > /dev/null 2>&1 || $(PYTHON) -c "import sys; v = sys.version_info[:2]; \
	(3, 11) <= v <= (3, 13) or sys.exit('HuggingTweets needs Python 3.11 to 3.13, and $(PYTHON) is %d.%d. \
	Name another one, like PYTHON=python3.12, after make demo.' % v)"
	$(RUN) -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	$(RUN) -m pip install --disable-pip-version-check -q -r requirements.txt -c constraints.txt
	touch $@

.venv-lowest/installed: RESOLUTION := lowest-direct
.venv-newest/installed: RESOLUTION := highest
.venv-lowest/installed .venv-newest/installed: requirements.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --disable-pip-version-check -q uv $$(grep '^torch==' constraints.txt)
	$(@D)/bin/uv pip install -q --python $(@D)/bin/python --resolution $(RESOLUTION) -r requirements.txt
	touch $@

# What only the benchmark needs; no version changes that was tested.
.venv/benchmark: .venv/installed tests/benchmarks/requirements.txt
	$(RUN) -m pip install --disable-pip-version-check -q -r tests/benchmarks/requirements.txt -c constraints.txt
	touch $@

# The tests of the page need a Chromium: the one that is installed, else the distribution's, else Playwright's.
.venv/browser: .venv/installed
	command -v chromium || command -v chromium-browser || command -v google-chrome \
	|| { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq chromium; } \
	|| $(RUN) -m playwright install chromium
	touch $@
